import { once } from "node:events";
import { goodHealth, type WebhookRecord } from "@jobyard/core";
import { createLogger } from "@jobyard/core/process";
import { PublicHttp } from "@jobyard/handlers";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type Delivery, listDeliveries, type Retry } from "../../src/webhooks/deliveries.ts";
import { Webhooks } from "../../src/webhooks/webhooks.ts";
import { engines } from "../engines.ts";
import { virtualApi } from "../virtual-api.ts";
import { Receiver, type Respond } from "./receiver.ts";

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

/** Deliveries of one webhook, by a clock that the test moves. */
async function start(
  engine: (typeof engines)[number],
  respond: Respond,
  options: {
    readonly retry?: Retry;
    readonly maxWaiting?: number;
    readonly waitingBytes?: number;
  } = {},
) {
  const receiver = await Receiver.start(respond);
  const api = await virtualApi(engine);
  const { queue } = api;
  const http = new PublicHttp({ allowPrivate: true });
  const posts = vi.spyOn(http, "post");
  const webhooks = new Webhooks({
    queue,
    http,
    log: createLogger("silent", false),
    ...options,
  });
  webhooks.start();
  onTestFinished(() => webhooks.stop(0));
  const jobs = queue.of("default");
  const { id } = await jobs.putWebhook({
    url: receiver.url,
    events: ["job.pushed"],
    queue: null,
    secret: null,
    shape: "flashq",
    enabled: true,
  });
  const deliveries = async (): Promise<readonly Delivery[]> =>
    (await listDeliveries(queue, id, { limit: 100 })).deliveries;
  /** The newest delivery, once so many attempts were made and it rests. */
  const attempted = async (attempts: number): Promise<Delivery> => {
    await expect
      .poll(async () => {
        const [newest] = await deliveries();
        const rests = newest?.state !== "pending" || newest.nextAttemptAt !== null;
        return [newest?.attempts.length, rests];
      })
      .toEqual([attempts, true]);
    return (await deliveries())[0]!;
  };
  return {
    ...api,
    receiver,
    posts,
    deliveries,
    attempted,
    async webhook(): Promise<WebhookRecord> {
      return (await jobs.webhooks()).find((one) => one.id === id)!;
    },
    /** Makes one event; its delivery, after the first attempt. */
    async event(): Promise<Delivery> {
      const count = (await deliveries()).length;
      await jobs.add({ queue: "q", data: 1 });
      await expect.poll(async () => (await deliveries()).length).toBe(count + 1);
      return attempted(1);
    },
  };
}

const fail: Respond = (_, response) => response.writeHead(503).end("not now");

describe.each(engines)("by a virtual clock, %s", (engine) => {
  test("a delivery is tried 14 times in 22 h 45 min, the wait doubled each time", async () => {
    const { receiver, event, attempted, advance, now } = await start(engine, fail);
    const began = now();
    let { nextAttemptAt } = await event();
    for (let attempts = 2; attempts <= 14; attempts++) {
      const wait = 10 * SECOND * 2 ** (attempts - 2);
      expect(nextAttemptAt).toBe(now() + wait);
      await advance(wait - 1);
      expect(receiver.got).toHaveLength(attempts - 1);
      await advance(1);
      ({ nextAttemptAt } = await attempted(attempts));
    }
    expect(now() - began).toBe(22 * HOUR + 45 * 60 * SECOND + 10 * SECOND);
    expect(await attempted(14)).toMatchObject({ state: "failed", nextAttemptAt: null });
    await advance(7 * HOUR);
    expect(receiver.got).toHaveLength(14);
    expect(new Set(receiver.got.map(({ text }) => text)).size).toBe(1);
  });

  test("a webhook is disabled once all attempts of three days have failed, and not before", async () => {
    const retry = { attempts: 1, backoffMs: SECOND };
    const { queue, receiver, event, webhook, deliveries, advance, now } = await start(
      engine,
      fail,
      { retry },
    );
    const first = now();
    await event();
    await advance(2 * DAY);
    await event();
    await expect.poll(webhook).toMatchObject({ health: { failingSince: first, disabled: null } });
    // One that goes well: what was before is forgotten.
    receiver.respond((_, response) => response.end());
    await event();
    await expect.poll(webhook).toMatchObject({ health: { failingSince: null, givenUp: 0 } });
    receiver.respond(fail);
    const since = now();
    await event();
    await advance(3 * DAY - 1);
    await event();
    await expect
      .poll(webhook)
      .toMatchObject({ health: { failingSince: since, givenUp: 2, disabled: null } });
    await advance(1);
    await event();
    const disabled = "Every attempt of three days has failed";
    await expect.poll(webhook).toMatchObject({ health: { failingSince: since, disabled } });
    // Nothing is told to it any more.
    const count = (await deliveries()).length;
    await queue.of("default").add({ queue: "q", data: 1 });
    await expect.poll(() => queue.adapter.outbox()).toEqual({ waiting: 0, dropped: 0 });
    expect(await deliveries()).toHaveLength(count);
  });

  test("so many deliveries wait and no more: later events are counted, and told again once there is room", async () => {
    const { queue, call, url, receiver, webhook, deliveries, advance } = await start(engine, fail, {
      maxWaiting: 5,
    });
    const push = async (count: number): Promise<void> => {
      const jobs = queue.of("default");
      await jobs.addMany(
        Array.from({ length: count }, (_, n) => ({ queue: "q", data: n })),
        { atomic: true },
      );
      await expect.poll(() => queue.adapter.outbox()).toEqual({ waiting: 0, dropped: 0 });
    };
    const pending = async (): Promise<number> =>
      (await deliveries()).filter(({ state }) => state === "pending").length;
    await push(3);
    expect([await pending(), (await webhook()).health.dropped]).toEqual([3, 0]);
    await push(240);
    await push(7);
    await expect.poll(webhook).toMatchObject({ enabled: true, health: { dropped: 245 } });
    expect(await deliveries()).toHaveLength(5);
    const shown = await call("GET", `/api/native/webhooks/${(await webhook()).id}`);
    expect(shown.body.data).toMatchObject({ enabled: true, dropped: 245 });
    const page = await (await fetch(`${url}/metrics/prometheus`)).text();
    expect(page).toMatch(/^jobyard_webhook_dropped_events 245$/m);
    // The first five are told, and what happens now.
    receiver.respond((_, response) => response.end());
    await expect
      .poll(async () => {
        await advance(10 * SECOND);
        return pending();
      })
      .toBe(0);
    await push(1);
    await expect
      .poll(async () => (await deliveries()).map(({ state }) => state))
      .toEqual(Array.from({ length: 6 }, () => "delivered"));
    expect((await webhook()).health).toEqual({ ...goodHealth, dropped: 245 });
  });

  test("what waits holds no more than its share of so many bytes, and tells the rest by where it is", async () => {
    const { queue, call, receiver, deliveries, advance } = await start(engine, fail, {
      maxWaiting: 50,
      waitingBytes: 9000,
    });
    const jobs = queue.of("default");
    const text = "ü".repeat(1000);
    const bytes = Buffer.byteLength(JSON.stringify(text));
    const push = async (data: unknown): Promise<number> => {
      const id = await jobs.add({ queue: "q", data });
      await expect.poll(() => queue.adapter.outbox()).toEqual({ waiting: 0, dropped: 0 });
      return id;
    };
    const told = async (count: number): Promise<unknown[]> =>
      (await receiver.has(count)).map(({ body }) => body.data as unknown);
    const ids: number[] = [];
    for (let n = 0; n < 6; n++) ids.push(await push(text));
    const hrefs = ids.slice(4).map((id) => ({ href: `/api/native/jobs/${id}/data`, bytes }));
    const href = hrefs[0]?.href ?? "";
    expect((await call("GET", href)).body).toBe(text);
    // What is short is told as ever.
    await push("short");
    receiver.respond((_, response) => response.end());
    await expect
      .poll(async () => {
        await advance(10 * SECOND);
        return (await deliveries()).filter(({ state }) => state === "pending").length;
      })
      .toBe(0);
    const all = await told(7);
    const kinds = new Map(all.map((data) => [JSON.stringify(data), data]));
    expect([...kinds.values()]).toEqual(
      expect.arrayContaining([text, "short", ...hrefs] as unknown[]),
    );
    expect(kinds.size).toBe(4);
    // There is room again.
    const before = receiver.got.length;
    await push(text);
    expect((await told(before + 1)).at(-1)).toBe(text);
  });

  test("a receiver has 10 s to answer", async () => {
    const { receiver, event, deliveries, advance, attempted } = await start(
      engine,
      () => undefined,
    );
    const making = event();
    await receiver.has(1);
    await advance(10 * SECOND - 1);
    const [under] = await deliveries();
    expect(under).toMatchObject({ state: "pending", attempts: [] });
    await advance(1);
    expect(await making).toMatchObject({
      state: "pending",
      attempts: [{ status: null, error: "There was no answer within 10000 ms", response: "" }],
    });
    receiver.respond((_, response) => response.end("late, but here"));
    await advance(10 * SECOND);
    expect(await attempted(2)).toMatchObject({
      state: "delivered",
      attempts: [{}, { status: 200, response: "late, but here" }],
    });
  });

  test("an answer that does not end is cut after 10 s: its status counts", async () => {
    const { posts, event, advance } = await start(engine, (_, response) => {
      response.write("so far, so good");
    });
    const making = event();
    // Once its beginning has been read.
    await expect.poll(() => posts.mock.settledResults[0]?.type).toBe("fulfilled");
    await advance(10 * SECOND);
    expect(await making).toMatchObject({ state: "delivered", attempts: [{ error: null }] });
  });

  test("of an answer 64 kB are read", async () => {
    let cut: Promise<unknown> = Promise.resolve();
    let sent = 0;
    const { event } = await start(engine, (_, response) => {
      cut = once(response, "close");
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(65_536))) sent += 65_536;
        response.once("drain", more);
      };
      more();
    });
    const { state, attempts } = await event();
    expect([state, attempts[0]?.response]).toEqual(["delivered", "x".repeat(1000)]);
    await cut;
    // What lies in the buffers of both sides besides.
    expect(sent).toBeLessThan(20_000_000);
  });
});
