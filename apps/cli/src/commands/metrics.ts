import type { Schemas } from "@jobyard/sdk";
import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { span } from "../output.ts";
import { sparkline } from "../sparkline.ts";
import { collect, duration } from "../values.ts";

type Point = Schemas["Metrics"]["series"][number]["points"][number];

interface Options {
  readonly queue?: string[];
  readonly project?: string;
  readonly last?: number;
  readonly interval?: "minute" | "hour";
  readonly perQueue?: boolean;
}

const HOUR_MS = 3_600_000;

/** What is drawn, and how its last value reads. */
const lines: readonly [keyof Point, (value: number) => string][] = [
  ["added", String],
  ["completed", String],
  ["failed", String],
  ["backlog", String],
  ["durationAvgMs", span],
  ["waitAvgMs", span],
];

export function define(command: Command, cli: Cli): void {
  command
    .description("What happened, minute by minute or hour by hour")
    .option("-q, --queue <name>", "In this queue; several times: in all of them", collect)
    .option("--project <project>", "Of this project")
    .option("--last <duration>", "So far back", duration, HOUR_MS)
    .addOption(
      new Option("--interval <interval>", "Default: minutes up to 2 h, then hours").choices([
        "minute",
        "hour",
      ]),
    )
    .option("--per-queue", "For each queue")
    .action(async ({ queue, project, last = HOUR_MS, interval, perQueue }: Options) => {
      const { out } = cli;
      const metrics = await (
        await cli.client()
      ).metrics({
        ...(queue !== undefined && { queue }),
        ...(project !== undefined && { project }),
        lastMs: last,
        interval: interval ?? (last <= 2 * HOUR_MS ? "minute" : "hour"),
        ...(perQueue === true && { perQueue: true }),
      });
      out.result(metrics, () => {
        if (out.terminal) out.line(`A ${metrics.interval} each, to ${metrics.to}`);
        for (const { queue, points } of metrics.series) {
          if (!out.terminal) {
            for (const point of points) {
              const values = lines.map(([name]) => point[name] ?? "-");
              out.line([queue ?? "-", point.at, ...values].join("\t"));
            }
            continue;
          }
          if (queue !== null) out.line(out.style("bold", queue));
          const room = Math.max(10, (process.stdout.columns || 80) - 36);
          for (const [name, text] of lines) {
            const values = points.map((point) => Number(point[name] ?? 0));
            const label = name.replace("AvgMs", " avg").padEnd(12);
            const highest = text(Math.max(...values, 0)).padStart(9);
            out.line(
              `${label} ${sparkline(values.slice(-room))} ${out.style("dim", `max ${highest}`)}`,
            );
          }
        }
      });
    });
}
