import { describe, expect, it } from "vitest";

import type { EventType, JobEvent } from "../../events.ts";
import type { WebhookInput } from "../../queue-adapter.ts";
import { jobSpec, jobSpecs } from "../job-factory.ts";
import { at, only, useDriver } from "./driver.ts";
import type { Driver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

const hook: WebhookInput = {
  tenant: "default",
  url: "https://example.com/hook",
  events: ["job.completed", "job.failed"],
  queue: null,
  secret: null,
  shape: "flashq",
  enabled: true,
};

type Told = readonly [type: EventType, jobId: number | null];

function told(events: readonly JobEvent[]): Told[] {
  return events.map(({ type, jobId }) => [type, jobId]);
}

async function taken(d: Driver): Promise<Told[]> {
  return told(await d.adapter.takeOutbox({ limit: 1000 }));
}

/** A job that is added, run and completed. */
async function runOne(d: Driver, wish: { queue?: string; tenant?: string } = {}): Promise<number> {
  const { queue = "work", tenant = "default" } = wish;
  const id = await d.add({ queue, tenant });
  await d.complete(await d.take({ queue, tenant }), {}, tenant);
  return id;
}

export function describeOutbox(factory: EngineFactory): void {
  describe("outbox", () => {
    const d = useDriver(factory);

    it("has what enabled webhooks ask for, and nothing else", async () => {
      await runOne(d);
      const { id } = await d.adapter.putWebhook(hook);
      const first = await runOne(d);
      await runOne(d, { tenant: "acme" });
      await d.configure({ paused: true });
      await d.configure({ paused: false });
      const events = await d.adapter.takeOutbox({ limit: 10 });
      expect(events).toEqual([
        {
          cursor: at(events, 0).cursor,
          type: "job.completed",
          tenant: "default",
          queue: "work",
          jobId: first,
          at: d.now(),
        },
      ]);
      await d.adapter.putWebhook({ ...hook, id, enabled: false });
      await runOne(d);
      expect(await taken(d)).toHaveLength(1);
      await d.adapter.putWebhook({ ...hook, id, queue: "mail", events: ["*"] });
      await runOne(d);
      const mail = await runOne(d, { queue: "mail" });
      await d.adapter.deleteWebhook({ tenant: "*", id });
      await runOne(d, { queue: "mail" });
      expect(await taken(d)).toEqual([
        ["job.completed", first],
        ["job.pushed", mail],
        ["job.started", mail],
        ["job.completed", mail],
      ]);
    });

    it("tells what the event tells, each failed attempt as well", async () => {
      await d.adapter.putWebhook({ ...hook, events: ["job.failed", "queue.paused"] });
      const id = await d.add({ maxAttempts: 2 });
      await d.fail(await d.take(), { retryAt: d.now(), error: { message: "once" } });
      await d.fail(await d.take(), { error: { message: "twice" } });
      await d.configure({ paused: true });
      expect(await d.adapter.takeOutbox({ limit: 10 })).toMatchObject([
        { type: "job.failed", jobId: id, error: "once", final: false },
        { type: "job.failed", jobId: id, error: "twice", final: true },
        { type: "queue.paused", jobId: null, queue: "work" },
      ]);
    });

    it("is asked no more for a webhook that was disabled", async () => {
      const { id } = await d.adapter.putWebhook(hook);
      const other = await d.adapter.putWebhook({ ...hook, queue: "mail" });
      const bad = { failingSince: 0, givenUp: 20, disabled: "It fails" };
      await d.adapter.noteWebhook({ id, verdict: bad });
      await runOne(d);
      const mail = await runOne(d, { queue: "mail" });
      expect(await taken(d)).toEqual([["job.completed", mail]]);
      await d.adapter.noteWebhook({ id: other.id, verdict: bad });
      await runOne(d, { queue: "mail" });
      await d.adapter.noteWebhook({ id, verdict: { ...bad, disabled: null } });
      const heard = await runOne(d);
      expect(await taken(d)).toEqual([
        ["job.completed", mail],
        ["job.completed", heard],
      ]);
    });

    it("gives up its oldest events together with the jobs added for them", async () => {
      await d.adapter.putWebhook(hook);
      expect(await d.adapter.outbox()).toEqual({ waiting: 0, dropped: 0 });
      const ids = [await runOne(d), await runOne(d), await runOne(d)];
      expect(await d.adapter.outbox()).toEqual({ waiting: 3, dropped: 0 });
      const events = await d.adapter.takeOutbox({ limit: 2 });
      expect(told(events)).toEqual(ids.slice(0, 2).map((id) => ["job.completed", id]));
      const settled = { first: at(events, 0).cursor, last: at(events, 1).cursor };
      const jobs = jobSpecs(2, () => ({ tenant: "~1", queue: "~webhooks", typed: true }));
      expect(await d.adapter.settleOutbox({ ...settled, jobs })).toBe(true);
      // Whoever comes second has not added them again.
      expect(await d.adapter.settleOutbox({ ...settled, jobs })).toBe(false);
      expect(await d.adapter.outbox()).toEqual({ waiting: 1, dropped: 0 });
      const last = only(await d.adapter.takeOutbox({ limit: 10 }));
      expect(last.jobId).toBe(ids[2]);
      const rest = { first: last.cursor, last: last.cursor, jobs: [] };
      expect(await d.adapter.settleOutbox(rest)).toBe(true);
      expect(await taken(d)).toEqual([]);
      expect(await d.adapter.settleOutbox(rest)).toBe(false);
      const added = await d.claim({ tenant: "*", queue: "~webhooks" });
      expect(added).toHaveLength(2);
      expect(await d.claim({ tenant: "*", queues: "untyped" })).toEqual([]);
    });

    it("says when there is something to take", async () => {
      await d.adapter.putWebhook(hook);
      let news = 0;
      const told = new Promise<void>((resolve) => {
        d.adapter.onOutbox(() => {
          news++;
          resolve();
        });
      });
      const stop = d.adapter.onOutbox(() => expect.fail("It listens no more"));
      stop();
      await runOne(d);
      await told;
      expect(news).toBeGreaterThan(0);
    });

    it("has nothing of a call that was refused", async () => {
      await d.adapter.putWebhook({ ...hook, events: ["job.pushed"] });
      const id = await d.add({ uniqueKey: "k" });
      const jobs = [jobSpec({}), jobSpec({ uniqueKey: "k" })];
      await expect(d.adapter.enqueue({ jobs, atomic: true })).rejects.toMatchObject({
        code: "DUPLICATE_JOB",
      });
      expect(await taken(d)).toEqual([["job.pushed", id]]);
    });

    it("keeps the secrets of events from outside by tenant and queue", async () => {
      const place = { tenant: "default", queue: "orders" };
      expect(await d.adapter.incomingSecret(place)).toBeNull();
      await d.adapter.putIncomingSecret({ ...place, secret: "one" });
      await d.adapter.putIncomingSecret({ ...place, tenant: "acme", secret: "two" });
      expect(await d.adapter.incomingSecret(place)).toBe("one");
      expect(await d.adapter.incomingSecret({ ...place, queue: "other" })).toBeNull();
      await d.adapter.putIncomingSecret({ ...place, secret: "three" });
      expect(await d.adapter.incomingSecret(place)).toBe("three");
      await d.adapter.putIncomingSecret({ ...place, secret: null });
      expect(await d.adapter.incomingSecret(place)).toBeNull();
      expect(await d.adapter.incomingSecret({ ...place, tenant: "acme" })).toBe("two");
    });
  });

  if (!factory.durable) return;
  describe.each(["reopen", "crash"] as const)("outbox: %s", (how) => {
    const d = useDriver(factory);

    it("keeps its events, and goes on asking", async () => {
      await d.adapter.putWebhook(hook);
      const before = await runOne(d);
      const [event] = await d.adapter.takeOutbox({ limit: 10 });
      await d.engine[how]();
      const after = await runOne(d);
      // Whoever died with them may still have them to itself for a moment.
      await expect
        .poll(() => taken(d), { timeout: 10_000, interval: 50 })
        .toEqual([
          ["job.completed", before],
          ["job.completed", after],
        ]);
      const cursor = event?.cursor ?? "";
      expect(await d.adapter.settleOutbox({ first: cursor, last: cursor, jobs: [] })).toBe(true);
      expect(await taken(d)).toEqual([["job.completed", after]]);
    });
  });
}
