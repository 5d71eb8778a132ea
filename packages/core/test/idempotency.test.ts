import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { SqliteAdapter } from "../src/adapters/sqlite/index.ts";
import { QueueError } from "../src/errors.ts";
import { ANSWERS_KEPT_MS, type Outcome } from "../src/queue-adapter.ts";
import type { NewJob } from "../src/queue.ts";
import { jobSpec, VirtualClock } from "../src/testing/index.ts";
import { Desk } from "./desk.ts";

let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open();
});

const job = (rest: Partial<NewJob> = {}): NewJob => ({ queue: "work", data: {}, ...rest });
const large = job({
  queue: "sentiment_analysis_batch",
  data: { texts: Array.from({ length: 110 }, () => "x".repeat(10_000)) },
});

async function refusal(call: Promise<unknown>): Promise<QueueError> {
  const outcome = await call.catch((error: unknown) => error);
  if (!(outcome instanceof QueueError)) throw new Error(`not refused: ${JSON.stringify(outcome)}`);
  return outcome;
}

describe("a call with an idempotency key", () => {
  const key = { idempotencyKey: "order-7" };

  test("adds once, and is answered as the first one, whatever it brings", async () => {
    const id = await desk.ours.add(job(), key);
    expect(await desk.ours.add(job(), key)).toBe(id);
    expect(await desk.ours.add(job({ queue: "no/name" }), key)).toBe(id);
    expect(await desk.ours.addMany([job(), job()], { atomic: true, ...key })).toEqual([id]);
    expect(await desk.queue.of("*").add(job(), key)).toBe(id);
    expect(await desk.queue.of("acme").add(job(), key)).toBeGreaterThan(id);
    expect(await desk.ours.add(job(), { idempotencyKey: "order-8" })).toBeGreaterThan(id);
    expect(await desk.ours.count()).toMatchObject({ waiting: 2 });
  });

  test("is told the same refusals in the same places, the engine's and ours", async () => {
    const jobs = [
      job({ queue: "" }),
      job({ uniqueKey: "k" }),
      job({ uniqueKey: "k" }),
      job({ priority: 0.5 }),
      job({ dependsOn: [{ sibling: 3 }] }),
      job(),
      job({ dependsOn: [999] }),
      job({ data: undefined }),
    ];
    const tell = (outcomes: readonly Outcome<number>[]): unknown[] =>
      outcomes.map((one) => (one instanceof QueueError ? one.toJSON() : one));
    const first = await desk.ours.addMany(jobs, { atomic: false, ...key });
    expect(first.map((one) => (one instanceof QueueError ? one.code : "taken"))).toEqual([
      "VALIDATION",
      "taken",
      "DUPLICATE_JOB",
      "VALIDATION",
      "DEPENDENCY_NOT_FOUND",
      "taken",
      "DEPENDENCY_NOT_FOUND",
      "VALIDATION",
    ]);
    const again = await desk.ours.addMany([job()], { atomic: false, ...key });
    expect(again.some((one) => one instanceof QueueError)).toBe(true);
    expect(tell(again)).toEqual(tell(first));
    expect(await desk.ours.count()).toMatchObject({ waiting: 2 });
  });

  test("is refused again where the engine refused it", async () => {
    const holder = await desk.ours.add(job({ uniqueKey: "k" }));
    const single = await refusal(desk.ours.add(job({ uniqueKey: "k" }), key));
    const many = { atomic: true, idempotencyKey: "many" };
    const whole = await refusal(desk.ours.addMany([job(), job({ uniqueKey: "k" })], many));
    expect(whole.details).toMatchObject({ index: 1, existingId: holder });
    await desk.ours.remove(holder);
    const again = await refusal(desk.ours.add(job({ uniqueKey: "k" }), key));
    expect(again.toJSON()).toEqual(single.toJSON());
    expect((await refusal(desk.ours.addMany([job()], many))).toJSON()).toEqual(whole.toJSON());
    expect(await desk.ours.queues()).toMatchObject([{ counts: { waiting: 0 } }]);
  });

  test("that was refused before it reached the engine is judged anew", async () => {
    await refusal(desk.ours.addMany([job(), job({ queue: "" })], { atomic: true, ...key }));
    await refusal(desk.ours.add(job({ queue: "" }), key));
    expect(await desk.ours.add(job(), key)).toBeTypeOf("number");
  });

  test.each(["", "k".repeat(256), "a b", "\u00e9", "a\n", 7, null, {}])(
    "is refused when the key is %j",
    async (idempotencyKey) => {
      const error = await refusal(desk.ours.add(job(), { idempotencyKey } as never));
      expect(error.details.errors).toEqual([
        { field: "idempotencyKey", message: "Must be 1 to 255 visible ASCII characters" },
      ]);
      expect(await desk.ours.queues()).toEqual([]);
    },
  );

  test("of each job's own adds each once, in whatever call and beside whatever it comes", async () => {
    const once = (...keys: string[]) =>
      desk.ours.addEachOnce(keys.map((idempotencyKey) => ({ job: job(), idempotencyKey })));
    const first = await once("a", "b", "c", "b");
    const [a, b] = first.map(({ outcome }) => outcome);
    expect(first.map(({ repeated }) => repeated)).toEqual([false, false, false, true]);
    expect(first[3]?.outcome).toBe(b);
    const [anew, again, refused] = await once("d", "a", "no key");
    expect(anew?.repeated).toBe(false);
    expect(again).toEqual({ outcome: a, repeated: true });
    expect(refused?.outcome).toMatchObject({ code: "VALIDATION", details: { index: 2 } });
    expect(await desk.ours.count()).toMatchObject({ waiting: 4 });
    const holder = { job: job({ uniqueKey: "k" }), idempotencyKey: "x" };
    const [, duplicate] = await desk.ours.addEachOnce([holder, { ...holder, idempotencyKey: "y" }]);
    expect(duplicate?.outcome).toMatchObject({ code: "DUPLICATE_JOB", details: { index: 1 } });
    const [, told] = await desk.ours.addEachOnce([holder, { ...holder, idempotencyKey: "y" }]);
    expect(told).toEqual({ ...duplicate, repeated: true });
    expect(await desk.ours.count()).toMatchObject({ waiting: 5 });
  });

  test("leaves no file behind when it comes again, also at the same time", async () => {
    const ids = await Promise.all(Array.from({ length: 4 }, () => desk.ours.add(large, key)));
    expect(new Set(ids).size).toBe(1);
    expect(await desk.ours.add(large, key)).toBe(ids[0]);
    expect(await desk.files()).toHaveLength(1);
    const { data } = await desk.ours.load(await desk.ours.get(ids[0]!));
    expect(data).toBe(JSON.stringify(large.data));
  });

  test("whose answer was lost is answered when it comes again, its large data there", async () => {
    const { adapter, ours } = desk;
    const enqueueOnce = adapter.enqueueOnce.bind(adapter);
    vi.spyOn(adapter, "enqueueOnce").mockImplementationOnce(async (params) => {
      await enqueueOnce(params);
      throw new QueueError("UNAVAILABLE", "cut off", { uncertain: true });
    });
    expect((await refusal(ours.add(large, key))).code).toBe("UNAVAILABLE");
    const id = await ours.add(large, key);
    expect((await ours.load(await ours.get(id))).data).toBe(JSON.stringify(large.data));
    expect(await ours.count()).toMatchObject({ waiting: 1 });
  });

  test("leaves no file behind when the store fails", async () => {
    const unavailable = new QueueError("UNAVAILABLE", "disk full");
    vi.spyOn(desk.adapter, "enqueueOnce").mockRejectedValueOnce(unavailable);
    expect(await refusal(desk.ours.add(large, key))).toMatchObject(unavailable.toJSON());
    expect(await desk.files()).toEqual([]);
  });
});

describe("the embedded engine", () => {
  test("forgets old answers by itself, in whatever number, also those of an earlier process", async () => {
    const folder = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "jobyard-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const path = join(folder, "jobyard.db");
    const clock = new VirtualClock();
    const open = async (): Promise<SqliteAdapter> => {
      const adapter = new SqliteAdapter({ path, clock });
      await adapter.open();
      return adapter;
    };
    const add = async (adapter: SqliteAdapter, from: number, count: number): Promise<void> => {
      const call = { jobs: [jobSpec()], atomic: false, tenant: "default", note: "" };
      const keys = Array.from({ length: count }, (_, i) => `k${from + i}`);
      await Promise.all(keys.map((key) => adapter.enqueueOnce({ ...call, key })));
    };
    const rowsAfter = async (adapter: SqliteAdapter): Promise<number> => {
      await adapter.close();
      const db = new DatabaseSync(path);
      const row = db.prepare("SELECT count(*) n FROM answer").get();
      db.close();
      return Number(row?.["n"]);
    };

    const first = await open();
    await add(first, 0, 1200);
    clock.advance(ANSWERS_KEPT_MS / 2);
    await add(first, 5000, 30);
    expect(await rowsAfter(first)).toBe(1230);

    const second = await open();
    clock.advance(ANSWERS_KEPT_MS / 2 + 60_000);
    await second.upkeep();
    expect(await rowsAfter(second)).toBe(30);

    const third = await open();
    await add(third, 9000, 1);
    clock.advance(ANSWERS_KEPT_MS / 2 + 60_000);
    await third.upkeep();
    expect(await rowsAfter(third)).toBe(1);
  });
});
