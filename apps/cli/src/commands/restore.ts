import type { Command } from "commander";
import { confirm } from "../actions.ts";
import type { Cli } from "../cli.ts";
import { plural } from "../output.ts";

export function define(command: Command, cli: Cli): void {
  command
    .description(
      "Put a backup in the place of the embedded engine's store in DATA_DIR, while no server runs on it; the store that was there is kept beside it",
    )
    .argument("<file>")
    .option("-y, --yes", "Do not ask")
    .action(async (file: string, { yes }: { yes?: boolean }) => {
      const [{ parseConfig }, { restore }] = await Promise.all([
        import("@jobyard/core"),
        import("@jobyard/core/process"),
      ]);
      const config = parseConfig(cli.env);
      if (yes !== true) await confirm(`Replace the store in ${config.engine.dataDir}?`);
      const report = await restore(config, file);
      const { path, states, missingFiles, replaced } = report;
      const total = Object.values(states).reduce((sum, count) => sum + count, 0);
      cli.out.result(report, () => {
        cli.out.line(`${path} has ${plural(total, "job")} now`);
        if (replaced !== null) cli.out.note(`The store that was there is ${replaced}`);
        if (missingFiles > 0) {
          cli.out.note(
            `${plural(missingFiles, "large payload")} of its jobs are not in FILES_DIR any more`,
          );
        }
      });
    });
}
