import type { Command } from "commander";
import { Option } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";
import { type FilterOptions, filterOf, filterOptions } from "../job-filter.ts";
import { jobColumns } from "../job-view.ts";
import { plural } from "../output.ts";
import { integer, oneOf } from "../values.ts";

export interface ListOptions extends FilterOptions {
  readonly limit: number;
  readonly cursor?: string;
  readonly order?: "asc" | "desc";
  readonly include?: ("data" | "result")[];
  readonly all?: boolean;
  readonly count?: boolean;
  readonly ids?: boolean;
}

export function define(command: Command, cli: Cli): void {
  listOptions(command).action((options: ListOptions) => list(cli, options));
}

/** `dlq list` gives the state itself. */
export function listOptions(command: Command, conditions = filterOptions): Command {
  return conditions(command)
    .option("-n, --limit <n>", "At most so many", integer(1, 1000), 50)
    .option("--cursor <cursor>", "Go on there: `next` of the page before")
    .addOption(new Option("--order <order>", "By age").choices(["asc", "desc"]).default("desc"))
    .option("--include <part>", "With --json: tell data or result too", oneOf(["data", "result"]))
    .addOption(
      new Option("--all", "All of them, page by page; with --json a line each").conflicts("limit"),
    )
    .addOption(new Option("--ids", "Only their ids").conflicts("include"))
    .addOption(
      new Option("--count", "Only how many there are").conflicts([
        "limit",
        "cursor",
        "order",
        "include",
        "all",
        "ids",
      ]),
    );
}

/** Also of `search`, which puts its words into the filter. */
export async function list(cli: Cli, options: ListOptions): Promise<void> {
  const { jobs } = await cli.client();
  const { out } = cli;
  const { limit, cursor, order, include, all, count, ids } = options;
  if (include !== undefined && !out.json) {
    throw new CliError("usage", "--include tells more with --json: give both, or neither");
  }
  const filter = filterOf(options);
  if (count === true) {
    const { total } = await jobs.page({ ...filter, limit: 0 });
    out.result({ total }, () => out.line(String(total)));
    return;
  }
  const query = {
    ...filter,
    ...(order !== undefined && { order }),
    ...(cursor !== undefined && { cursor }),
    ...(include !== undefined && { include }),
  };
  if (all !== true) {
    const page = await jobs.page({ ...query, limit });
    const { items, total, next } = page;
    if (ids === true) {
      out.result(
        items.map(({ id }) => id),
        () => items.forEach(({ id }) => out.line(id)),
      );
      return;
    }
    out.result(page, () => {
      out.table(items, jobColumns(out), "No such job");
      if (out.terminal && next !== null && total > items.length) {
        out.note(
          `${items.length} of ${plural(total, "job")}; --all, -n or --cursor ${next} for more`,
        );
      }
    });
    return;
  }
  for (let from = cursor; ;) {
    const page = await jobs.page({
      ...query,
      limit: PAGE,
      ...(from !== undefined && { cursor: from }),
    });
    if (ids === true) for (const { id } of page.items) out.item(id, () => id);
    else if (out.json) for (const job of page.items) out.item(job, () => "");
    else if (page.items.length > 0) out.table(page.items, jobColumns(out));
    if (page.next === null) return;
    from = page.next;
  }
}

const PAGE = 500;
