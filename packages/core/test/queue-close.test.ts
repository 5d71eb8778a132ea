import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import { QueueError } from "../src/errors.ts";
import { JobQueue, type TenantQueue } from "../src/queue.ts";
import { VirtualClock } from "../src/testing/index.ts";
import { Desk } from "./desk.ts";

const long = process.env["JOBYARD_LONG"] === "1";

const large = { texts: Array.from({ length: 110 }, () => "\u00e9\ud83d\ude00".repeat(3000)) };

type Call = (queue: TenantQueue) => Promise<unknown>;

/** Everything one can be in the middle of. */
const calls: Readonly<Record<string, Call>> = {
  add: (queue) => queue.add({ queue: "work", data: 1 }),
  "add many": (queue) =>
    queue.addMany(
      Array.from({ length: 50 }, (_, data) => ({ queue: "work", data })),
      { atomic: true },
    ),
  "add large data": (queue) => queue.add({ queue: "sentiment_analysis_batch", data: large }),
  pull: (queue) => queue.pull({ queue: "work", limit: 3 }),
  ack: (queue) => queue.ack([{ id: 1, result: "r".repeat(1_000_001) }]),
  cancel: (queue) => queue.cancel(2, { running: true }),
  wait: (queue) => queue.wait(3, { timeoutMs: 60_000 }),
  list: (queue) => queue.list({}, { limit: 10, order: "asc" }),
  "put a schedule": (queue) =>
    queue.putSchedule("s", { cron: "* * * * *", job: { queue: "work", data: 1 } }),
  heartbeat: (queue) => queue.heartbeat({ id: "w" }),
  remove: (queue) => queue.applyToMany({ queues: ["other"] }, "remove"),
};

const waitingPulls = [60_000, Infinity].map(
  (waitMs) => (queue: TenantQueue) => queue.pull({ queue: "empty", limit: 1, waitMs }),
);

describe("closing", () => {
  test("answers everybody: with what they asked for, or that the server is stopping", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...Object.entries(calls)), { minLength: 1, maxLength: 12 }),
        fc.nat(4),
        async (chosen, turns) => {
          const desk = await Desk.open();
          await desk.ours.addMany(
            Array.from({ length: 4 }, (_, data) => ({ queue: "other", data })),
            { atomic: true },
          );
          const waiting = Promise.all(waitingPulls.map((pull) => pull(desk.ours)));
          await desk.settle();
          const asked = Promise.allSettled(chosen.map(([, call]) => call(desk.ours)));
          for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
          await desk.queue.close();
          expect(await waiting).toEqual([[], []]);
          for (const outcome of await asked) {
            if (outcome.status === "fulfilled") continue;
            expect(outcome.reason).toBeInstanceOf(QueueError);
            expect(["UNAVAILABLE", "INVALID_STATE", "JOB_NOT_FOUND"]).toContain(
              (outcome.reason as QueueError).code,
            );
          }
          expect(desk.errors).toEqual([]);
        },
      ),
      { numRuns: long ? 500 : 20 },
    );
  });

  test("answers a pull that is about to wait", async () => {
    const desk = await Desk.open();
    let answered = 0;
    for (const pull of waitingPulls) void pull(desk.ours).then(() => answered++);
    await desk.queue.close();
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(answered).toBe(2);
  });

  test("twice does no harm, and every later call is refused", async () => {
    const desk = await Desk.open();
    await desk.ours.add({ queue: "work", data: 1 });
    await Promise.all([desk.queue.close(), desk.queue.close()]);
    await desk.queue.close();
    for (const call of [...Object.values(calls), ...waitingPulls]) {
      await expect(call(desk.ours)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    }
    expect(await desk.queue.health()).toMatchObject({ reachable: false });
    // Data that was written before the refusal is deleted again.
    expect(await desk.files()).toEqual([]);
  });

  test("and opening again goes on with jobs, large data and schedules where it was", async () => {
    const folder = await mkdtemp(join(tmpdir(), "jobyard-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const clock = new VirtualClock();
    const open = async (): Promise<JobQueue> => {
      const queue = new JobQueue({
        adapter: new SqliteAdapter({ path: join(folder, "jobs.db"), clock }),
        payloadFolder: join(folder, "payloads"),
        clock,
      });
      await queue.open();
      return queue;
    };
    const first = await open();
    const id = await first.of("t").add({ queue: "sentiment_analysis_batch", data: large });
    const small = await first.of("t").add({ queue: "work", data: { a: "\ud800" } });
    await first.of("t").putSchedule("s", { cron: "* * * * *", job: { queue: "work", data: 2 } });
    await first.close();
    clock.advance(10 * 60_000);
    const second = await open();
    const queue = second.of("t");
    const { data } = await queue.load(await queue.get(id));
    expect(data === JSON.stringify(large)).toBe(true);
    expect((await queue.get(small)).data).toBe('{"a":"\\ud800"}');
    // Ten due times were missed; one job makes up for them.
    expect((await queue.list({ queues: ["work"] }, { limit: 10, order: "asc" })).total).toBe(2);
    await queue.remove(id);
    expect(await readdir(join(folder, "payloads"))).toEqual([]);
    await second.close();
  });
});
