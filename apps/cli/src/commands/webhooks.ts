import type { Schemas } from "@jobyard/sdk";
import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";
import { age } from "../job-view.ts";
import { type Column, type Output, span } from "../output.ts";
import { collect, integer } from "../values.ts";

type Webhook = Schemas["Webhook"];
type Delivery = Schemas["Delivery"];

interface Options {
  readonly url?: string;
  readonly event?: string[];
  readonly queue?: string;
  readonly secret?: string;
  readonly enable?: boolean;
  readonly disable?: boolean;
}

interface DeliveriesOptions {
  readonly state?: Delivery["state"];
  readonly limit: number;
  readonly cursor?: number;
}

export function define(command: Command, cli: Cli): void {
  const show = (webhook: Webhook): void =>
    cli.out.result(webhook, () => showWebhook(cli.out, webhook));
  const showDelivery = (delivery: Delivery): void =>
    cli.out.result(delivery, () => cli.out.table([delivery], deliveryColumns(cli.out)));

  command
    .command("list")
    .description("All webhooks")
    .action(async () => {
      const { out } = cli;
      const items = await (await cli.client()).webhooks.list();
      out.result({ items }, () =>
        out.table(
          items,
          [
            { title: "ID", value: ({ id }) => id },
            { title: "URL", value: ({ url }) => url },
            { title: "EVENTS", value: ({ events }) => events.join(",") },
            { title: "QUEUE", value: ({ queue }) => queue },
            { title: "SIGNED", value: ({ signed }) => (signed ? "yes" : "no") },
            {
              title: "STATE",
              value: stateOf,
              style: ({ enabled }) => (enabled ? undefined : "yellow"),
            },
          ],
          "No webhook",
        ),
      );
    });

  command
    .command("show")
    .description("One webhook")
    .argument("<id>")
    .action(async (id: string) => show(await (await cli.client()).webhooks.get(id)));

  settings(command.command("add").description("Tell an address of events").argument("<url>"))
    .option("--disabled", "Do not begin yet")
    .action(async (url: string, options: Options & { disabled?: boolean }) => {
      const { event = ["*"], queue, secret } = options;
      const webhook = {
        url,
        events: event,
        ...(queue !== undefined && { queue }),
        ...(secret !== undefined && { secret }),
        enabled: options.disabled !== true,
      };
      show(await (await cli.client()).webhooks.add(webhook as Schemas["NewWebhook"]));
    });

  settings(
    command
      .command("update")
      .description("Change a webhook; what is not named stays")
      .argument("<id>"),
  )
    .option("--url <url>")
    .addOption(new Option("--enable").conflicts("disable"))
    .option("--disable")
    .action(async (id: string, options: Options) => {
      const { url, event, queue, secret, enable, disable } = options;
      const patch = {
        ...(url !== undefined && { url }),
        ...(event !== undefined && { events: event }),
        ...(queue !== undefined && { queue }),
        ...(secret !== undefined && { secret }),
        ...(enable === true && { enabled: true }),
        ...(disable === true && { enabled: false }),
      };
      if (Object.keys(patch).length === 0) {
        throw new CliError("usage", "Say what to change, such as --event or --disable");
      }
      show(await (await cli.client()).webhooks.update(id, patch as Schemas["WebhookPatch"]));
    });

  command
    .command("remove")
    .description("Remove a webhook")
    .argument("<id>")
    .action(async (id: string) => {
      const removed = await (await cli.client()).webhooks.remove(id);
      cli.out.result(removed, () => cli.out.line(`${id} is removed`));
    });

  command
    .command("test")
    .description("Send it an event of its own, webhook.test")
    .argument("<id>")
    .action(async (id: string) =>
      showDelivery(await (await cli.client()).call("testWebhook", { path: { id } })),
    );

  command
    .command("deliveries")
    .description("What was sent to a webhook, the newest first")
    .argument("<id>")
    .addOption(new Option("-s, --state <state>").choices(["pending", "delivered", "failed"]))
    .option("-n, --limit <n>", "At most so many", integer(1, 100), 50)
    .option("--cursor <cursor>", "Go on there: `next` of the page before", integer(1))
    .action(async (id: string, { state, limit, cursor }: DeliveriesOptions) => {
      const { out } = cli;
      const page = await (
        await cli.client()
      ).webhooks.deliveries(id, {
        ...(state !== undefined && { state }),
        limit,
        ...(cursor !== undefined && { cursor }),
      });
      out.result(page, () => out.table(page.items, deliveryColumns(out), "Nothing was sent"));
    });

  command
    .command("delivery")
    .description("What was sent, and how each attempt went")
    .argument("<id>")
    .argument("<delivery>")
    .action(async (id: string, delivery: string) => {
      const { out } = cli;
      const found = await (await cli.client()).call("getDelivery", { path: { id, delivery } });
      out.result(found, () => {
        const { event, state, jobId, createdAt, nextAttemptAt, body } = found;
        out.fields({
          delivery,
          event,
          job: jobId,
          state,
          made: createdAt,
          next: nextAttemptAt,
          body,
        });
        out.table(
          found.history,
          [
            { title: "AT", value: ({ at }) => at },
            { title: "STATUS", value: ({ status }) => status, right: true },
            { title: "TOOK", value: ({ durationMs }) => span(durationMs), right: true },
            { title: "ERROR", value: ({ error }) => error, style: () => "red" },
            { title: "ANSWER", value: ({ response }) => response },
          ],
          "Not tried yet",
        );
      });
    });

  command
    .command("replay")
    .description("Send a delivery again, as a new one")
    .argument("<id>")
    .argument("<delivery>")
    .action(async (id: string, delivery: string) =>
      showDelivery(await (await cli.client()).webhooks.replay(id, delivery)),
    );
}

function settings(command: Command): Command {
  return command
    .option(
      "-e, --event <type>",
      "Such as job.failed; several times: of these; default: all",
      collect,
    )
    .option("-q, --queue <name>", "Of this queue; default: of all")
    .option("--secret <secret>", "Signs each delivery; never shown again");
}

function stateOf({ enabled, disabledReason, failingSince }: Webhook): string {
  if (!enabled) return disabledReason === null ? "disabled" : `disabled: ${disabledReason}`;
  return failingSince === null ? "enabled" : `failing since ${failingSince}`;
}

function showWebhook(out: Output, webhook: Webhook): void {
  const { id, url, events, queue, signed, givenUp, dropped, createdAt } = webhook;
  out.fields({
    webhook: id,
    url,
    events: events.join(", "),
    queue: queue ?? "all",
    signed: signed ? "yes" : "no",
    state: stateOf(webhook),
    "given up": givenUp === 0 ? null : `${givenUp} in a row`,
    "not told": dropped === 0 ? null : `${dropped} events: too many deliveries waited`,
    made: createdAt,
  });
}

function deliveryColumns(out: Output): readonly Column<Delivery>[] {
  return [
    { title: "DELIVERY", value: ({ id }) => id },
    { title: "EVENT", value: ({ event }) => event },
    { title: "JOB", value: ({ jobId }) => jobId },
    {
      title: "STATE",
      value: ({ state }) => state,
      style: ({ state }) =>
        state === "failed" ? "red" : state === "delivered" ? "green" : "yellow",
    },
    { title: "TRIES", value: ({ attempts }) => attempts, right: true },
    { title: "STATUS", value: ({ status }) => status, right: true },
    { title: "MADE", value: ({ createdAt }) => age(out, createdAt) },
    { title: "NEXT", value: ({ nextAttemptAt }) => age(out, nextAttemptAt) },
    { title: "ERROR", value: ({ error }) => error, style: () => "red" },
  ];
}
