import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { age, jobColumns, showJob } from "../job-view.ts";
import { span } from "../output.ts";

interface Options {
  readonly data?: boolean;
  readonly result?: boolean;
  readonly attempts?: boolean;
  readonly dependencies?: boolean;
}

const parts = ["data", "result", "attempts", "dependencies"] as const;

/** One of them is told. */
function part(name: (typeof parts)[number], about: string): Option {
  return new Option(`--${name}`, about).conflicts(parts.filter((other) => other !== name));
}

export function define(command: Command, cli: Cli): void {
  command
    .argument("<id>")
    .addOption(part("data", "Only its data, as JSON, however long"))
    .addOption(part("result", "Only its result, as JSON, however long"))
    .addOption(part("attempts", "Its runs: who ran it, from when to when, how that ended"))
    .addOption(part("dependencies", "The jobs it waits for, and those that wait for it"))
    .action(async (id: string, options: Options) => {
      const { jobs } = await cli.client();
      const { out } = cli;
      if (options.data === true) out.line(JSON.stringify(await jobs.data(id)));
      else if (options.result === true) out.line(JSON.stringify(await jobs.result(id)));
      else if (options.attempts === true) {
        const attempts = await jobs.attempts(id);
        out.result(attempts, () =>
          out.table(attempts.items, [
            { title: "RUN", value: ({ run }) => run, right: true },
            { title: "WORKER", value: ({ worker }) => worker },
            { title: "STARTED", value: ({ startedAt }) => startedAt },
            {
              title: "TOOK",
              value: ({ startedAt, endedAt }) =>
                endedAt === null ? null : span(Date.parse(endedAt) - Date.parse(startedAt)),
              right: true,
            },
            { title: "OUTCOME", value: ({ outcome }) => outcome ?? "running" },
            { title: "NEXT", value: ({ nextAt }) => age(out, nextAt) },
            { title: "ERROR", value: ({ error }) => error, style: () => "red" },
          ]),
        );
      } else if (options.dependencies === true) {
        const found = await jobs.dependencies(id);
        out.result(found, () => {
          const { dependsOn, dependents, gone, totalDependents } = found;
          const columns = jobColumns(out);
          const relations = [
            ...dependsOn.map((job) => ({ job, relation: "waits for" })),
            ...dependents.map((job) => ({ job, relation: "is waited for by" })),
          ];
          out.table(relations, [
            { title: "IT", value: ({ relation }) => relation },
            ...columns.map(({ value, style, ...column }) => ({
              ...column,
              value: ({ job }: (typeof relations)[number]) => value(job),
              ...(style && { style: ({ job }: (typeof relations)[number]) => style(job) }),
            })),
          ]);
          if (gone.length > 0) out.note(`Removed since: ${gone.join(", ")}`);
          if (totalDependents > dependents.length) {
            out.note(`${dependents.length} of ${totalDependents} that wait for it`);
          }
        });
      } else {
        const job = await jobs.get(id);
        out.result(job, () => showJob(out, job));
      }
    });
}
