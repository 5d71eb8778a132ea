import type { Schemas } from "@jobyard/sdk";
import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";
import { age } from "../job-view.ts";
import { type JobFlags, jobOptions, jobOptionsOf } from "../job-options.ts";
import { integer, json, moment } from "../values.ts";

type Schedule = Schemas["Schedule"];

interface AddOptions extends JobFlags {
  readonly timezone?: string;
  readonly description?: string;
  readonly disabled?: boolean;
}

interface UpdateOptions {
  readonly cron?: string;
  readonly timezone?: string;
  readonly description?: string;
  readonly enable?: boolean;
  readonly disable?: boolean;
  readonly data?: string;
}

export function define(command: Command, cli: Cli): void {
  const show = (schedule: Schedule): void =>
    cli.out.result(schedule, () => {
      const { name, cron, words, timezone, enabled, queue, job, description } = schedule;
      cli.out.fields({
        schedule: name,
        cron: `${cron} (${words.en})`,
        "time zone": timezone,
        state: enabled ? "enabled" : "disabled",
        next: schedule.nextRunAt,
        last: schedule.lastRunAt,
        queue,
        data: JSON.stringify(job.data),
        description,
      });
    });

  command
    .command("list")
    .description("All schedules")
    .action(async () => {
      const { out } = cli;
      const items = await (await cli.client()).schedules.list();
      out.result({ items }, () =>
        out.table(
          items,
          [
            { title: "SCHEDULE", value: ({ name }) => name },
            { title: "CRON", value: ({ cron }) => cron },
            { title: "TIME ZONE", value: ({ timezone }) => timezone },
            { title: "QUEUE", value: ({ queue }) => queue },
            {
              title: "STATE",
              value: ({ enabled }) => (enabled ? "enabled" : "disabled"),
              style: ({ enabled }) => (enabled ? undefined : "yellow"),
            },
            { title: "NEXT", value: ({ nextRunAt }) => age(out, nextRunAt) },
            { title: "LAST", value: ({ lastRunAt }) => age(out, lastRunAt) },
          ],
          "No schedule",
        ),
      );
    });

  command
    .command("show")
    .description("One schedule")
    .argument("<name>")
    .action(async (name: string) => show(await (await cli.client()).schedules.get(name)));

  const adding = command
    .command("add")
    .description("Add a job again and again")
    .argument("<name>")
    .argument("<cron>", "5 fields, or 6 with seconds first: '30 6 * * 1-5'")
    .argument("<queue>")
    .argument("[data]", "The job's data: JSON, @file, or - for standard input")
    .option("--timezone <zone>", "Such as Europe/Madrid; default: UTC")
    .option("--description <text>")
    .option("--disabled", "Do not begin yet");
  jobOptions(adding).action(
    async (
      name: string,
      cron: string,
      queue: string,
      given: string | undefined,
      options: AddOptions,
    ) => {
      const data = given === undefined ? undefined : await json(given);
      const { timezone, description, disabled, name: label } = options;
      const schedule = {
        name,
        cron,
        ...(timezone !== undefined && { timezone }),
        ...(description !== undefined && { description }),
        ...(disabled === true && { enabled: false }),
        job: {
          queue,
          ...(label !== undefined && { name: label }),
          ...(data !== undefined && { data }),
          ...jobOptionsOf(options),
        },
      };
      show(await (await cli.client()).schedules.add(schedule));
    },
  );

  command
    .command("update")
    .description("Change, disable or enable a schedule; what is not named stays")
    .argument("<name>")
    .option("--cron <cron>")
    .option("--timezone <zone>")
    .option("--description <text>")
    .option("--data <json>", "The job's data: JSON, @file, or - for standard input")
    .addOption(new Option("--enable").conflicts("disable"))
    .option("--disable")
    .action(async (name: string, options: UpdateOptions) => {
      const { cron, timezone, description, enable, disable, data: given } = options;
      const { schedules } = await cli.client();
      const data = given === undefined ? undefined : await json(given);
      const job = data === undefined ? undefined : { ...(await schedules.get(name)).job, data };
      const patch = {
        ...(cron !== undefined && { cron }),
        ...(timezone !== undefined && { timezone }),
        ...(description !== undefined && { description }),
        ...(enable === true && { enabled: true }),
        ...(disable === true && { enabled: false }),
        ...(job !== undefined && { job }),
      };
      if (Object.keys(patch).length === 0) {
        throw new CliError("usage", "Say what to change, such as --cron or --disable");
      }
      show(await schedules.update(name, patch));
    });

  command
    .command("remove")
    .description("Remove a schedule; jobs that it has added stay")
    .argument("<name>")
    .action(async (name: string) => {
      const removed = await (await cli.client()).schedules.remove(name);
      cli.out.result(removed, () => cli.out.line(`${name} is removed`));
    });

  command
    .command("run")
    .description("Add a schedule's job now; its next run stays")
    .argument("<name>")
    .action(async (name: string) => {
      const job = await (await cli.client()).schedules.run(name);
      cli.out.result(job, () => cli.out.line(job.id));
    });

  command
    .command("preview")
    .description("When a schedule is due next, with the clock changes between")
    .argument("<cron-or-name>", "A cron expression, or the name of a schedule")
    .option("--timezone <zone>", "Of the cron expression; default: UTC")
    .option("-n, --count <n>", "So many runs", integer(1, 100), 10)
    .option("--from <when>", "From this moment on", moment)
    .action(async (given: string, options: { timezone?: string; count: number; from?: string }) => {
      const { out } = cli;
      const { schedules } = await cli.client();
      if (!given.includes(" ") && options.timezone !== undefined) {
        const message = "A schedule has its own time zone: give --timezone with a cron expression";
        throw new CliError("usage", message);
      }
      const asked = given.includes(" ")
        ? { cron: given, timezone: options.timezone }
        : await schedules.get(given);
      const { cron, timezone } = asked;
      const { words, runs } = await schedules.preview({
        cron,
        ...(timezone !== undefined && { timezone }),
        count: options.count,
        ...(options.from !== undefined && { from: options.from }),
      });
      let before: string | undefined;
      const rows = runs.map(({ at, local }) => {
        const offset = /(Z|[+-]\d{2}:\d{2})$/.exec(local)?.[1] ?? "";
        const clockChange =
          before !== undefined && before !== offset ? `${before} to ${offset}` : null;
        before = offset;
        return { at, local, clockChange };
      });
      out.result({ words, runs: rows }, () => {
        if (out.terminal) out.line(`${words.en} (${timezone ?? "UTC"})`);
        out.table(rows, [
          { title: "LOCAL", value: ({ local }) => local },
          { title: "UTC", value: ({ at }) => at },
          {
            title: "CLOCK CHANGE",
            value: ({ clockChange }) => clockChange,
            style: () => "yellow",
          },
        ]);
      });
    });
}
