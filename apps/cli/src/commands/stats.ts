import type { Schemas } from "@jobyard/sdk";
import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { type Column, span } from "../output.ts";
import { collect, duration } from "../values.ts";

type Figures = Schemas["Stats"]["total"];

interface Options {
  readonly queue?: string[];
  readonly project?: string;
  readonly by?: "queue" | "project" | "level";
  readonly last?: number;
}

export function define(command: Command, cli: Cli): void {
  command
    .description("How many jobs there are, and what happened in a period")
    .option("-q, --queue <name>", "In this queue; several times: in all of them", collect)
    .option("--project <project>", "Of this project")
    .addOption(new Option("--by <kind>", "For each one").choices(["queue", "project", "level"]))
    .option("--last <duration>", "So far back; default: since ever", duration)
    .action(async ({ queue, project, by, last }: Options) => {
      const { out } = cli;
      const stats = await (
        await cli.client()
      ).stats({
        ...(queue !== undefined && { queue }),
        ...(project !== undefined && { project }),
        ...(by !== undefined && { by }),
        ...(last !== undefined && { lastMs: last }),
      });
      const ms = (value: number | null): string | null => (value === null ? null : span(value));
      const columns: readonly Column<Figures & { key?: string }>[] = [
        { title: (by ?? "").toUpperCase(), value: ({ key }) => key ?? "all" },
        { title: "ADDED", value: ({ added }) => added, right: true },
        { title: "COMPLETED", value: ({ completed }) => completed, right: true },
        { title: "FAILED", value: ({ failed }) => failed, right: true },
        { title: "CANCELLED", value: ({ cancelled }) => cancelled, right: true },
        { title: "RETRIED", value: ({ retried }) => retried, right: true },
        {
          title: "SUCCESS",
          value: ({ successRate }) => (successRate === null ? null : `${successRate.toFixed(1)} %`),
          right: true,
        },
        { title: "RUN AVG", value: ({ durationAvgMs }) => ms(durationAvgMs), right: true },
        { title: "RUN MAX", value: ({ durationMaxMs }) => ms(durationMaxMs), right: true },
        { title: "WAIT AVG", value: ({ waitAvgMs }) => ms(waitAvgMs), right: true },
      ];
      out.result(stats, () => {
        const present = Object.entries(stats.counts).map(([state, count]) => `${count} ${state}`);
        if (out.terminal) out.line(`${out.style("bold", "Now")}  ${present.join(", ")}\n`);
        out.table([...stats.groups, stats.total], columns);
      });
    });
}
