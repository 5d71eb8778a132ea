import { type Command, Option } from "commander";
import { type Cli, Interruption } from "../cli.ts";
import { Progress } from "../progress.ts";

interface Options {
  readonly to: "redis" | "embedded";
  readonly abandon?: boolean;
}

export function define(command: Command, cli: Cli): void {
  command
    .description(
      "Move all jobs between the embedded engine (DATA_DIR) and Redis (REDIS_URL), while nobody serves them; " +
        "interrupted, it goes on when it is run again",
    )
    .addOption(
      new Option("--to <engine>", "Where to").choices(["redis", "embedded"]).makeOptionMandatory(),
    )
    .option("--abandon", "Give an unfinished move up: its source can be served again")
    .action(async ({ to, abandon = false }: Options) => {
      const { parseConfig } = await import("@jobyard/core");
      const { abandonMove, movedStores, moveStore } = await import("@jobyard/core/process");
      const { embedded, redis } = await movedStores(parseConfig(cli.env));
      const stores = to === "redis" ? { from: embedded, to: redis } : { from: redis, to: embedded };
      const [from, target] = [stores.from.store.name, stores.to.store.name];
      if (abandon) {
        await abandonMove(stores);
        cli.out.result({ from, to: target, abandoned: true }, () =>
          cli.out.line(`${from} can be served again; nothing is left of the move to ${target}`),
        );
        return;
      }
      const progress = new Progress(`Moving to ${to}`, cli.out.json);
      const signal = cli.interruptible();
      try {
        const report = await moveStore({
          ...stores,
          signal,
          onProgress: ({ doing, done, total }) => progress.at(done, total, doing),
        });
        progress.end();
        for (const warning of report.warnings) cli.out.note(warning);
        cli.out.result(report, () => {
          const states = Object.entries(report.states).filter(([, count]) => count > 0);
          cli.out.fields({
            from,
            to: target,
            jobs: report.jobs,
            ...Object.fromEntries(states),
            queues: report.queues,
            "crashed runs": report.crashedRuns === 0 ? null : report.crashedRuns,
          });
        });
      } catch (error) {
        progress.end();
        if (!signal.aborted) throw error;
        throw new Interruption(
          `Interrupted. What was copied is kept: run the command again to go on, or with --abandon to serve ${from} again`,
        );
      }
    });
}
