import { randomUUID } from "node:crypto";
import { chmod, mkdir, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { errorCodes, QueueError } from "../src/errors.ts";
import type { RemovedJob } from "../src/queue-adapter.ts";
import type { NewJob } from "../src/queue.ts";
import { Scheduler, type ScheduleInput } from "../src/scheduler.ts";
import { jobSpec } from "../src/testing/index.ts";
import { Desk } from "./desk.ts";

const long = process.env["JOBYARD_LONG"] === "1";

let desk: Desk;

beforeEach(async () => {
  desk = await Desk.open();
});

async function refusal(call: Promise<unknown>): Promise<QueueError> {
  const outcome = await call.catch((error: unknown) => error);
  if (!(outcome instanceof QueueError)) throw new Error(`not refused: ${JSON.stringify(outcome)}`);
  return outcome;
}

const job = (rest: Partial<NewJob> = {}): NewJob => ({ queue: "work", data: {}, ...rest });

/** A text whose JSON is longer than what is kept in the store; only one job type takes so much. */
const large = (n = 1) => ({ texts: Array.from({ length: 110 * n }, () => "x".repeat(10_000)) });
const largeJob = (rest: Partial<NewJob> = {}): NewJob => ({
  queue: "sentiment_analysis_batch",
  data: large(),
  ...rest,
});

// ---- validation

describe("a new job", () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const name = "Must be 1 to 256 of A-Z a-z 0-9 _ . -";
  const priority = "Must be a whole number from -1000000 to 1000000";
  const label = "Must be a string of 1 to 256 characters";
  const unicode = "Must be valid Unicode without control characters";
  const ms = "Must be a whole number from 0 to 315360000000";

  test.each<[string, Partial<Record<keyof NewJob, unknown>>, string, string]>([
    ["no queue", { queue: undefined }, "queue", name],
    ["an empty queue name", { queue: "" }, "queue", name],
    ["a long queue name", { queue: "a".repeat(257) }, "queue", name],
    ["a queue name with a slash", { queue: "a/b" }, "queue", name],
    ["a queue that is a number", { queue: 5 }, "queue", name],
    ["no data", { data: undefined }, "data", "Required field missing"],
    ["data that is a function", { data: () => 1 }, "data", "Required field missing"],
    [
      "a number that is none",
      { data: { a: [1, Number.NaN] } },
      "data.a[1]",
      "Numbers must be finite",
    ],
    ["an endless number", { data: -Infinity }, "data", "Numbers must be finite"],
    ["a big integer", { data: { a: 1n } }, "data", "Must be JSON"],
    [
      "a circle",
      { data: cyclic },
      `data${".self".repeat(100)}`.slice(0, 256),
      "Must not be nested deeper than 100 levels",
    ],
    [
      "101 levels",
      { data: nested(101) },
      `data${"[0]".repeat(100)}`.slice(0, 256),
      "Must not be nested deeper than 100 levels",
    ],
    [
      "a poisoned prototype",
      { data: JSON.parse('{"a":{"__proto__":{"x":1}}}') },
      "data.a",
      "Must not have a key __proto__",
    ],
    ["a priority with a fraction", { priority: 1.5 }, "priority", priority],
    ["a priority beyond the range", { priority: 1_000_001 }, "priority", priority],
    ["a priority in words", { priority: "high" }, "priority", priority],
    ["a negative delay", { delayMs: -1 }, "delayMs", ms],
    ["a delay of more than ten years", { delayMs: 315_360_000_001 }, "delayMs", ms],
    ["a delay in words", { delayMs: "5s" }, "delayMs", ms],
    [
      "a time to live of nothing",
      { ttlMs: 0 },
      "ttlMs",
      "Must be a whole number from 1 to 315360000000",
    ],
    [
      "a timeout of nothing",
      { timeoutMs: 0 },
      "timeoutMs",
      "Must be a whole number from 1 to 315360000000",
    ],
    ["no attempts", { maxAttempts: 0 }, "maxAttempts", "Must be a whole number from 1 to 1000"],
    [
      "too many attempts",
      { maxAttempts: 1001 },
      "maxAttempts",
      "Must be a whole number from 1 to 1000",
    ],
    ["a negative backoff", { backoffMs: -1 }, "backoffMs", ms],
    ["lifo in words", { lifo: "yes" }, "lifo", "Must be true or false"],
    ["an empty unique key", { uniqueKey: "" }, "uniqueKey", label],
    ["a long unique key", { uniqueKey: "k".repeat(257) }, "uniqueKey", label],
    ["half a character", { uniqueKey: "\ud800" }, "uniqueKey", unicode],
    ["a control character", { project: "a\u0000b" }, "project", unicode],
    ["a name that is a number", { name: 7 }, "name", label],
    ["a batch that is a list", { batch: [] }, "batch", label],
    ["tags that are a text", { tags: "red" }, "tags", "Must be a list"],
    ["tags that are an object", { tags: {} }, "tags", "Must be a list"],
    [
      "too many tags",
      { tags: Array(101).fill("t") },
      "tags",
      "Array must contain at most 100 items",
    ],
    ["a tag that is none", { tags: ["a", null] }, "tags[1]", label],
    ["dependencies that are a number", { dependsOn: 5 }, "dependsOn", "Must be a list"],
    [
      "too many dependencies",
      { dependsOn: Array(1001).fill(1) },
      "dependsOn",
      "Array must contain at most 1000 items",
    ],
    [
      "a dependency that is null",
      { dependsOn: [null] },
      "dependsOn[0]",
      "Must be a whole number from 1 to 9007199254740991",
    ],
    [
      "a dependency on 0",
      { dependsOn: [1, 0] },
      "dependsOn[1]",
      "Must be a whole number from 1 to 9007199254740991",
    ],
    [
      "a sibling that is not there",
      { dependsOn: [{ sibling: 1 }] },
      "dependsOn[0]",
      "Must be a whole number from 0 to 0",
    ],
    [
      "a sibling that is no number",
      { dependsOn: [{ sibling: "0" }] },
      "dependsOn[0]",
      "Must be a whole number from 0 to 0",
    ],
    ["an origin that is a text", { origin: "v1" }, "origin", "Must be an object"],
    ["an origin without a name", { origin: {} }, "origin.via", label],
  ])("is refused with %s", async (_, wrong, field, message) => {
    const error = await refusal(desk.ours.add(job(wrong as Partial<NewJob>)));
    expect(error.code).toBe("VALIDATION");
    expect(error.details.errors?.[0]).toEqual({ field, message });
    expect(error.message).toBe(`${field}: ${message}`);
    expect(await desk.ours.queues()).toEqual([]);
  });

  test.each([null, undefined, 5, "job", [], true])("is refused when it is %j", async (wrong) => {
    const error = await refusal(desk.ours.add(wrong as never));
    expect(error.details.errors).toEqual([{ field: "job", message: "Must be an object" }]);
  });

  test("is refused with all that is wrong at once", async () => {
    const wrong = job({ queue: "", priority: 0.5, delayMs: -1, tags: [""], uniqueKey: "" });
    const { details } = await refusal(desk.ours.add(wrong));
    expect(details.errors?.map(({ field }) => field)).toEqual([
      "queue",
      "delayMs",
      "priority",
      "uniqueKey",
      "tags[0]",
    ]);
    expect(details.index).toBe(0);
  });

  test("may use every limit to the full", async () => {
    const label = "ä".repeat(256);
    const id = await desk.ours.add(
      job({
        queue: "q".repeat(256),
        data: nested(100),
        priority: -1_000_000,
        delayMs: 315_360_000_000,
        ttlMs: 315_360_000_000,
        timeoutMs: 1,
        maxAttempts: 1000,
        backoffMs: 0,
        uniqueKey: label,
        name: label,
        project: label,
        batch: label,
        tags: Array.from({ length: 100 }, (_, i) => `${i}`),
      }),
    );
    expect(await desk.ours.get(id)).toMatchObject({
      priority: -1_000_000,
      uniqueKey: label,
      delayMs: 315_360_000_000,
    });
  });

  test("of a job type is held to its schema, takes its defaults, and keeps its data as sent", async () => {
    const error = await refusal(
      desk.ours.add(job({ queue: "data_export", data: { format: "pdf" } })),
    );
    expect(error.details.errors?.map(({ field }) => field)).toEqual(["datasetId", "format"]);
    const data = {
      extra: [1, { a: null }],
      format: "csv",
      datasetId: "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b",
    };
    const id = await desk.ours.add(job({ queue: "data_export", data }));
    expect(await desk.ours.get(id)).toMatchObject({
      data: JSON.stringify(data),
      maxAttempts: 4,
      backoffMs: 2000,
      timeoutMs: 1_800_000,
    });
    expect((await desk.ours.queues(["data_export"]))[0]?.typed).toBe(true);
    const own = await desk.ours.add(
      job({ queue: "data_export", data, maxAttempts: 1, timeoutMs: 5, backoffMs: 0 }),
    );
    expect(await desk.ours.get(own)).toMatchObject({ maxAttempts: 1, timeoutMs: 5, backoffMs: 0 });
  });

  test("of an untyped queue has one attempt, a second's backoff and no timeout", async () => {
    expect(await desk.ours.get(await desk.ours.add(job()))).toMatchObject({
      maxAttempts: 1,
      backoffMs: 1000,
      timeoutMs: null,
      ttlMs: null,
      priority: 0,
      lifo: false,
    });
  });

  test("may not say that it is another tenant's", async () => {
    const data = {
      datasetId: "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b",
      format: "csv",
      tenantId: "acme",
    };
    const error = await refusal(desk.ours.add(job({ queue: "data_export", data })));
    expect(error.details.errors).toEqual([
      { field: "tenantId", message: "Must be the tenant of the token, or be left out" },
    ]);
    const id = await desk.queue.of("acme").add(job({ queue: "data_export", data }));
    expect((await desk.queue.of("acme").get(id)).tenant).toBe("acme");
  });

  test("of whoever sees all tenants goes to the default one", async () => {
    const id = await desk.queue.of("*").add(job());
    expect((await desk.ours.get(id)).tenant).toBe("default");
    await desk.queue.of("*").configure("work", { paused: true });
    expect((await desk.ours.queues())[0]).toMatchObject({ tenant: "default", paused: true });
    await desk.queue.of("*").putSchedule("s", { cron: "* * * * *", job: job() });
    expect(await desk.ours.schedules()).toHaveLength(1);
  });

  test("of a tenant whose name is none is refused", async () => {
    for (const tenant of ["", "a b", "../x", "a".repeat(129)]) {
      const error = await refusal(desk.queue.of(tenant).add(job()));
      expect(error.details.errors?.[0]?.field).toBe("tenantId");
    }
  });

  test("may have 1,000,000 bytes of data, and not one more", async () => {
    // Two bytes a letter: characters and bytes differ.
    const data = "é".repeat(499_999);
    await desk.ours.add(job({ data }));
    const error = await refusal(desk.ours.add(job({ data: `${data}x` })));
    expect(error.code).toBe("PAYLOAD_TOO_LARGE");
    expect(error.details["limitBytes"]).toBe(1_000_000);
    expect(await desk.ours.count()).toMatchObject({ waiting: 1 });
  });
});

describe("batches", () => {
  test.each([[[]], [Array(1001).fill(job())], [null], [undefined], ["jobs"], [{ length: 1 }]])(
    "of a size that is none are refused",
    async (jobs) => {
      const error = await refusal(desk.ours.addMany(jobs as never, { atomic: false }));
      expect(error.details.errors?.[0]).toEqual({
        field: "jobs",
        message: "Must contain 1 to 1000 items",
      });
    },
  );

  test("take each sound job by itself, in its place", async () => {
    const jobs = [
      job(),
      job({ queue: "" }),
      job({ uniqueKey: "k" }),
      job({ uniqueKey: "k" }),
      job(),
    ];
    const outcomes = await desk.ours.addMany(jobs, { atomic: false });
    expect(
      outcomes.map((one) => (one instanceof QueueError ? [one.code, one.details.index] : "taken")),
    ).toEqual(["taken", ["VALIDATION", 1], "taken", ["DUPLICATE_JOB", 3], "taken"]);
    expect(await desk.ours.count()).toMatchObject({ waiting: 3 });
  });

  test("that are atomic are taken whole or not at all", async () => {
    for (const wrong of [job({ queue: "" }), job({ uniqueKey: "k" }), job({ dependsOn: [999] })]) {
      const jobs = [job({ uniqueKey: "k" }), job(), wrong];
      const error = await refusal(desk.ours.addMany(jobs, { atomic: true }));
      expect(error.details.index).toBe(2);
      expect(await desk.ours.queues()).toEqual([]);
    }
  });

  test("that are atomic name the job at fault, not the one that depends on it", async () => {
    await desk.ours.add(job({ uniqueKey: "k" }));
    const jobs = [job(), job({ dependsOn: [{ sibling: 2 }] }), job({ uniqueKey: "k" })];
    const error = await refusal(desk.ours.addMany(jobs, { atomic: true }));
    expect(error).toMatchObject({ code: "DUPLICATE_JOB", details: { index: 2 } });
  });

  test("may depend on each other in any order, also past refused ones", async () => {
    const jobs = [
      job({ dependsOn: [{ sibling: 4 }], name: "last" }),
      job({ queue: "" }),
      job({ name: "first" }),
      job({ priority: 0.5 }),
      job({ dependsOn: [{ sibling: 2 }, { sibling: 2 }], name: "second" }),
    ];
    const outcomes = await desk.ours.addMany(jobs, { atomic: false });
    const [last, , first, , second] = outcomes as number[];
    expect((await desk.ours.get(last!)).dependsOn).toEqual([second]);
    const order: number[] = [];
    for (let i = 0; i < 3; i++) {
      const [run] = await desk.ours.pull({ queue: "work", limit: 5 });
      order.push(run!.id);
      await desk.ours.ack([{ id: run!.id, lease: run!.lease }]);
    }
    expect(order).toEqual([first, second, last]);
  });

  test("refuse whoever depends on a refused job, through any number of steps", async () => {
    const jobs = [
      job({ dependsOn: [{ sibling: 1 }] }),
      job({ dependsOn: [{ sibling: 2 }] }),
      job({ queue: "" }),
      job({ dependsOn: [{ sibling: 4 }] }),
      job(),
    ];
    const outcomes = await desk.ours.addMany(jobs, { atomic: false });
    expect(outcomes.map((one) => (one instanceof QueueError ? one.code : "taken"))).toEqual([
      "DEPENDENCY_NOT_FOUND",
      "DEPENDENCY_NOT_FOUND",
      "VALIDATION",
      "taken",
      "taken",
    ]);
  });

  test("refuse circles, and what leads into them, but nothing else", async () => {
    const on = (...siblings: number[]): NewJob =>
      job({ dependsOn: siblings.map((sibling) => ({ sibling })) });
    const jobs = [on(1), on(2), on(0), on(0), on(4), job(), on(5), on(6, 5)];
    const outcomes = await desk.ours.addMany(jobs, { atomic: false });
    expect(outcomes.map((one) => (one instanceof QueueError ? one.code : "taken"))).toEqual([
      ...Array<string>(5).fill("DEPENDENCY_CYCLE"),
      ...Array<string>(3).fill("taken"),
    ]);
    const error = await refusal(desk.ours.addMany(jobs, { atomic: true }));
    expect(error).toMatchObject({ code: "DEPENDENCY_CYCLE", details: { index: 0 } });
  });

  test("agree with a search for circles by hand, and run in an order that respects the graph", async () => {
    const size = 8;
    const graph = fc.array(fc.uniqueArray(fc.nat(size - 1), { maxLength: 2 }), {
      minLength: size,
      maxLength: size,
    });
    await fc.assert(
      fc.asyncProperty(graph, async (needs) => {
        const desk = new Desk("/nonexistent");
        await desk.queue.open();
        const reaches = (from: number, seen: Set<number>): Set<number> => {
          for (const to of needs[from] ?? []) if (!seen.has(to)) reaches(to, seen.add(to));
          return seen;
        };
        const caught = needs.map((_, i) =>
          [i, ...reaches(i, new Set())].some((j) => reaches(j, new Set()).has(j)),
        );
        const jobs = needs.map((siblings) =>
          job({ dependsOn: siblings.map((sibling) => ({ sibling })) }),
        );
        const outcomes = await desk.ours.addMany(jobs, { atomic: false });
        expect(outcomes.map((one) => one instanceof QueueError)).toEqual(caught);
        const ran: number[] = [];
        for (;;) {
          const runs = await desk.ours.pull({ queue: "work", limit: 1 });
          if (runs.length === 0) break;
          for (const { id, lease } of runs) {
            const at = outcomes.indexOf(id);
            for (const sibling of needs[at] ?? []) expect(ran).toContain(sibling);
            ran.push(at);
            await desk.ours.ack([{ id, lease }]);
          }
        }
        expect(ran).toHaveLength(caught.filter((one) => !one).length);
        await desk.queue.close();
      }),
      { numRuns: long ? 2000 : 60 },
    );
  });
});

// ---- any input

/** Values of every type, and those that trip up careless code. */
const anything = fc.oneof(
  fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true, maxDepth: 2 }),
  fc.constantFrom<unknown>(
    undefined,
    null,
    -1,
    0,
    1.5,
    Number.NaN,
    Infinity,
    2 ** 53,
    -(2 ** 31),
    "",
    "1",
    "*",
  ),
  fc.constantFrom<unknown>(
    Symbol("s"),
    () => 1,
    new Date(Number.NaN),
    new Map(),
    Object.create(null),
    [[]],
  ),
);

/** Fails whoever looks into it. */
const trap: unknown = new Proxy(
  {},
  {
    ownKeys: () => {
      throw new RangeError("trap");
    },
  },
);

/** Parts of sound input with parts that are anything. */
function partly(sound: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<unknown> {
  const fields = Object.fromEntries(
    Object.entries(sound).map(([field, arbitrary]) => [
      field,
      fc.oneof({ weight: 3, arbitrary }, { weight: 1, arbitrary: anything }),
    ]),
  );
  return fc.oneof(
    { weight: 6, arbitrary: fc.record(fields, { requiredKeys: [] }) },
    { weight: 1, arbitrary: anything },
  );
}

const id = fc.oneof(fc.integer({ min: 1, max: 12 }), anything);
const ms = fc.constantFrom(0, 1, 1000);
const lease = fc.constantFrom("2", undefined);
const newJob = partly({
  queue: fc.constantFrom("work", "data_export"),
  data: fc.oneof(fc.anything({ withBigInt: true, maxDepth: 3 }), fc.constant(trap)),
  name: fc.string(),
  priority: fc.integer(),
  lifo: fc.boolean(),
  delayMs: ms,
  ttlMs: ms,
  timeoutMs: ms,
  maxAttempts: fc.nat(5),
  backoffMs: ms,
  uniqueKey: fc.string(),
  dependsOn: fc.array(fc.oneof(fc.nat(9), fc.record({ sibling: fc.nat(3) })), { maxLength: 3 }),
  tags: fc.array(fc.string(), { maxLength: 3 }),
  project: fc.string(),
  origin: fc.record({ via: fc.string() }),
});
const filter = partly({
  queues: fc.array(fc.constantFrom("work", "nowhere"), { maxLength: 2 }),
  states: fc.subarray(["waiting", "failed"]),
  name: fc.string({ minLength: 1 }),
  tag: fc.string({ minLength: 1 }),
  project: fc.string({ minLength: 1 }),
  batch: fc.string({ minLength: 1 }),
  priority: partly({ min: fc.integer({ min: -9, max: 9 }), max: fc.nat(9) }),
  created: partly({ from: fc.nat(), to: fc.nat() }),
  ids: fc.array(fc.nat(9), { maxLength: 3 }),
  error: fc.string(),
  errorGroup: fc.constantFrom("0123456789abcdef.work", "x"),
  payload: partly({ path: fc.constantFrom("data.a", "a"), equals: fc.jsonValue() }),
});

type Args = readonly fc.Arbitrary<unknown>[];

/** How each method is called; those that only read or write nothing when refused are all of them. */
const methods: Record<string, Args> = {
  add: [newJob, partly({ idempotencyKey: fc.uuid() })],
  addMany: [
    fc.oneof(fc.array(newJob, { maxLength: 4 }), anything),
    partly({ atomic: fc.boolean(), idempotencyKey: fc.uuid() }),
  ],
  addEachOnce: [
    fc.oneof(
      fc.array(fc.oneof(partly({ job: newJob, idempotencyKey: fc.uuid() }), anything), {
        maxLength: 4,
      }),
      anything,
    ),
  ],
  pull: [
    partly({
      queue: fc.constant("none"),
      limit: fc.nat(3),
      waitMs: fc.constant(0),
      worker: fc.constant("w"),
    }),
  ],
  ack: [
    fc.oneof(fc.array(partly({ id, lease, result: fc.anything() }), { maxLength: 3 }), anything),
  ],
  fail: [partly({ id, lease, error: fc.string(), code: fc.string(), final: fc.boolean() })],
  release: [id, fc.oneof(lease, anything)],
  renew: [fc.oneof(fc.array(partly({ id, lease }), { maxLength: 3 }), anything)],
  forgetWorker: [fc.oneof(fc.constant("w"), anything)],
  progress: [
    partly({ id, lease, progress: fc.nat(100), message: fc.string(), stats: fc.anything() }),
  ],
  log: [id, fc.oneof(fc.array(fc.string(), { maxLength: 2 }), anything), fc.oneof(lease, anything)],
  heartbeat: [
    partly({
      id: fc.constant("w"),
      queues: fc.array(fc.constant("work"), { maxLength: 2 }),
      concurrency: fc.nat(5),
      active: fc.nat(5),
      jobsProcessed: fc.nat(5),
    }),
  ],
  cancel: [id, partly({ running: fc.boolean(), reason: fc.string() })],
  retry: [id],
  promote: [id],
  remove: [id],
  applyToMany: [
    filter,
    fc.oneof(fc.constantFrom("cancel", "retry", "remove", "promote"), anything),
    partly({ reason: fc.string() }),
  ],
  get: [id],
  getMany: [fc.oneof(fc.array(id, { maxLength: 3 }), anything)],
  list: [
    filter,
    partly({
      limit: fc.nat(5),
      offset: fc.nat(5),
      after: fc.nat(5),
      order: fc.constantFrom("asc", "desc"),
    }),
  ],
  count: [filter],
  stats: [
    partly({
      queues: fc.array(fc.constant("work"), { maxLength: 1 }),
      project: fc.string({ minLength: 1 }),
      level: fc.constantFrom("high", "low"),
      from: fc.nat(),
      to: fc.nat(),
      groupBy: fc.constantFrom("queue", "hour"),
    }),
  ],
  logs: [id, partly({ offset: fc.nat(3), limit: fc.nat(3) })],
  runs: [id],
  errorGroups: [
    partly({
      queues: fc.array(fc.constant("work"), { maxLength: 1 }),
      from: fc.nat(),
      to: fc.nat(),
      limit: fc.nat(3),
    }),
  ],
  dependents: [id, partly({ limit: fc.nat(3) })],
  requeue: [id, partly({ data: fc.jsonValue(), delayMs: ms, remove: fc.boolean() })],
  wait: [id, partly({ timeoutMs: fc.constant(0) })],
  queues: [fc.oneof(fc.array(fc.constant("work"), { maxLength: 2 }), anything)],
  configure: [
    fc.oneof(fc.constant("work"), anything),
    partly({
      paused: fc.boolean(),
      rateLimit: fc.nat(3),
      concurrency: fc.nat(3),
      indexedPaths: fc.array(fc.constantFrom("data.a", "data"), { maxLength: 2 }),
    }),
  ],
  putSchedule: [
    fc.oneof(fc.constant("s"), anything),
    partly({
      cron: fc.constantFrom("* * * * *", "0 3 * * *"),
      timezone: fc.constant("Europe/Berlin"),
      enabled: fc.boolean(),
      description: fc.string(),
      job: newJob,
      via: fc.string(),
    }),
    fc.oneof(fc.constantFrom("new", "existing", undefined), anything),
  ],
  deleteSchedule: [fc.oneof(fc.constant("s"), anything)],
  schedules: [],
  webhooks: [],
  putWebhook: [
    partly({
      id: fc.nat(2),
      url: fc.webUrl(),
      events: fc.array(fc.constant("job.failed"), { maxLength: 2 }),
      queue: fc.constantFrom(null, "work"),
      secret: fc.constant(null),
      shape: fc.constant("native"),
      enabled: fc.boolean(),
    }),
  ],
  deleteWebhook: [id],
  setIncomingSecret: [
    fc.oneof(fc.constant("in"), anything),
    fc.oneof(fc.constantFrom(null, "s3cr3t"), anything),
  ],
  incomingSecret: [fc.oneof(fc.constant("in"), anything)],
  workers: [],
  nodes: [],
  subscribe: [
    partly({
      queue: fc.constant("work"),
      types: fc.subarray(["job.failed", "job.pushed"]),
      after: fc.string(),
      onEvents: fc.constant(() => undefined),
      onGap: fc.constant(() => undefined),
    }),
  ],
};

describe("any input", () => {
  test("is listed here for every method", () => {
    const all = Object.getOwnPropertyNames(Object.getPrototypeOf(desk.ours) as object);
    const calls = all.filter((name) => !["constructor", "home", "load"].includes(name));
    expect(Object.keys(methods).sort()).toEqual(calls.sort());
  });

  test.each(Object.entries(methods))(
    "to %s is taken or refused in our words, and half of nothing is kept",
    async (name, args) => {
      const desk = await Desk.open();
      // Something of each kind to be hit.
      const ids = (await desk.ours.addMany(
        Array.from({ length: 8 }, () => job({ tags: ["t"] })),
        { atomic: true },
      )) as number[];
      await desk.ours.pull({ queue: "work", limit: 2, worker: "w" });
      await desk.ours.cancel(ids[3]!, { running: false });
      await desk.ours.putSchedule("s", { cron: "0 3 * * *", job: job() });
      const call = (
        desk.ours as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
      )[name]!;
      const seen = { taken: 0, refused: 0 };
      const everything = async () => ({
        jobs: (await desk.ours.list({}, { limit: 10_000, order: "asc" })).jobs,
        queues: await desk.ours.queues(),
        schedules: await desk.ours.schedules(),
        webhooks: await desk.ours.webhooks(),
      });
      await fc.assert(
        fc.asyncProperty(fc.tuple(...args), async (values) => {
          const before = await everything();
          const outcome = await call.apply(desk.ours, values).then(
            () => "taken" as const,
            (error: unknown) => error,
          );
          if (outcome === "taken") {
            seen.taken++;
            return;
          }
          seen.refused++;
          if (!(outcome instanceof QueueError)) throw outcome;
          expect(errorCodes).toContain(outcome.code);
          // That would be a fault of ours.
          if (outcome.code === "INTERNAL") throw outcome;
          expect(await everything()).toEqual(before);
        }),
        { numRuns: long ? 500 : 120, ...(long ? {} : { seed: 42 }) },
      );
      if (args.length > 0) expect(seen.refused).toBeGreaterThan(0);
      // The store has taken no harm that shows later.
      await desk.ours.add(job({ queue: "after" }));
      expect(await desk.ours.pull({ queue: "after", limit: 1 })).toHaveLength(1);
    },
  );
});

// ---- waiting

describe("waiting for a job", () => {
  async function end(id: number, how: "complete" | "fail" | "cancel"): Promise<void> {
    if (how === "cancel") return desk.ours.cancel(id, { running: true });
    const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
    if (how === "complete") await desk.ours.ack([{ id, lease: run!.lease, result: { ok: true } }]);
    else await desk.ours.fail({ id, lease: run!.lease, error: "broken" });
  }

  test.each(["complete", "fail", "cancel"] as const)(
    "answers at once when it has ended before: %s",
    async (how) => {
      const id = await desk.ours.add(job());
      await end(id, how);
      expect((await desk.ours.wait(id, { timeoutMs: 0 })).finishedAt).not.toBeNull();
    },
  );

  test.each(["complete", "fail", "cancel"] as const)(
    "answers 1,000 who wait when it ends: %s",
    async (how) => {
      const id = await desk.ours.add(job());
      const subscribe = vi.spyOn(desk.adapter, "subscribe");
      const waits = Array.from({ length: 1000 }, () => desk.ours.wait(id, { timeoutMs: 60_000 }));
      await desk.settle();
      await end(id, how);
      const jobs = await Promise.all(waits);
      expect(new Set(jobs.map(({ state }) => state)).size).toBe(1);
      expect(subscribe).toHaveBeenCalledTimes(1);
    },
  );

  test("goes on through attempts that fail and are retried", async () => {
    const id = await desk.ours.add(job({ maxAttempts: 2, backoffMs: 0 }));
    const wait = desk.ours.wait(id, { timeoutMs: 60_000 });
    const seen = vi.fn<() => void>();
    void wait.then(seen);
    await end(id, "fail");
    await desk.settle();
    expect(seen).not.toHaveBeenCalled();
    await end(id, "complete");
    expect((await wait).state).toBe("completed");
  });

  test("goes on when the job failed for good and was retried before anybody looked", async () => {
    const id = await desk.ours.add(job());
    const wait = desk.ours.wait(id, { timeoutMs: 60_000 });
    const seen = vi.fn<() => void>();
    void wait.then(seen, seen);
    await desk.settle();
    const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
    const error = { message: "x" };
    // Both in one commit.
    await Promise.all([
      desk.adapter.fail({
        tenant: "*",
        runs: [{ id, lease: run!.lease, attempt: 1, error, retryAt: null }],
      }),
      desk.adapter.retry({ tenant: "*", ids: [id] }),
    ]);
    await desk.settle();
    expect(seen).not.toHaveBeenCalled();
    await end(id, "complete");
    expect((await wait).state).toBe("completed");
  });

  test("runs out with how far the job is", async () => {
    const id = await desk.ours.add(job());
    const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
    await desk.ours.progress({ id, lease: run!.lease, progress: 40 });
    const wait = refusal(desk.ours.wait(id, { timeoutMs: 5000 }));
    await desk.settle();
    await desk.advance(4999);
    await desk.advance(1);
    expect(await wait).toMatchObject({
      code: "WAIT_TIMEOUT",
      details: { state: "active", progress: 40 },
    });
    expect((await desk.ours.get(id)).state).toBe("active");
  });

  test("may last longer than a timer can", async () => {
    const id = await desk.ours.add(job());
    const timers = vi.spyOn(globalThis, "setTimeout");
    const wait = desk.ours.wait(id, { timeoutMs: 2 ** 31 + 5 });
    await desk.settle();
    expect(timers).not.toHaveBeenCalled();
    timers.mockRestore();
    await end(id, "complete");
    expect((await wait).state).toBe("completed");
  });

  test.each(["before", "while"])(
    "is given up when its signal says so %s it waits",
    async (when) => {
      const id = await desk.ours.add(job());
      const abort = new AbortController();
      if (when === "before") abort.abort();
      const wait = refusal(desk.ours.wait(id, { timeoutMs: 60_000, signal: abort.signal }));
      await desk.settle();
      abort.abort();
      expect((await wait).code).toBe("WAIT_TIMEOUT");
    },
  );

  test("ends when the queue closes", async () => {
    const id = await desk.ours.add(job());
    const waits = Array.from({ length: 10 }, () =>
      refusal(desk.ours.wait(id, { timeoutMs: 60_000 })),
    );
    await desk.settle();
    await desk.queue.close();
    const codes = (await Promise.all(waits)).map(({ code }) => code);
    expect(new Set(codes)).toEqual(new Set(["UNAVAILABLE"]));
  });

  test("is refused by a queue that is closed, without anything left behind that could fail later", async () => {
    const id = await desk.ours.add(job());
    await desk.queue.close();
    expect((await refusal(desk.ours.wait(id, { timeoutMs: 10 }))).code).toBe("UNAVAILABLE");
    await setImmediate();
  });

  test("is refused for a job that is not there, or another tenant's", async () => {
    const id = await desk.queue.of("acme").add(job());
    for (const unknown of [id, 999]) {
      expect((await refusal(desk.ours.wait(unknown, { timeoutMs: 10 }))).code).toBe(
        "JOB_NOT_FOUND",
      );
    }
  });

  test("tries to listen again after it could not", async () => {
    const id = await desk.ours.add(job());
    const subscribe = vi.spyOn(desk.adapter, "subscribe");
    subscribe.mockRejectedValueOnce(new QueueError("UNAVAILABLE", "not now"));
    expect((await refusal(desk.ours.wait(id, { timeoutMs: 10 }))).code).toBe("UNAVAILABLE");
    const wait = desk.ours.wait(id, { timeoutMs: 60_000 });
    await desk.settle();
    await end(id, "complete");
    expect((await wait).state).toBe("completed");
  });
});

// ---- schedules

describe("schedules", () => {
  /** As another process has it, on the same store. */
  const otherScheduler = (): Scheduler =>
    new Scheduler({
      adapter: desk.adapter,
      clock: desk.clock,
      check: () => undefined,
      specOf: async () => {
        await setImmediate();
        return jobSpec();
      },
      discard: async () => undefined,
      onError: (error, doing) => desk.errors.push(`${doing}: ${String(error)}`),
    });

  const minute = 60_000;
  const ran = async (of = desk): Promise<number[]> =>
    (await of.ours.list({ queues: ["work"] }, { limit: 1000, order: "asc" })).jobs.map(
      ({ createdAt }) => createdAt,
    );

  test("add a job at each due time", async () => {
    const start = desk.clock.now();
    const put = await desk.ours.putSchedule("s", {
      cron: "*/5 * * * *",
      job: job({ data: { a: 1 }, priority: 3 }),
    });
    expect(put).toMatchObject({
      nextRun: start + 5 * minute,
      lastRun: null,
      enabled: true,
      timezone: "UTC",
      via: "core",
    });
    await desk.pass(16 * minute, minute);
    expect(await ran()).toEqual([5, 10, 15].map((n) => start + n * minute));
    const [schedule] = await desk.ours.schedules();
    expect(schedule).toMatchObject({ lastRun: start + 15 * minute, nextRun: start + 20 * minute });
    const [one] = (await desk.ours.list({}, { limit: 1, order: "asc" })).jobs;
    expect(one).toMatchObject({ data: '{"a":1}', priority: 3 });
  });

  test("are changed field by field, and keep their due time where it is not concerned", async () => {
    const start = desk.clock.now();
    const made = await desk.ours.putSchedule("s", {
      cron: "0 * * * *",
      job: job(),
      description: "d",
      via: "v1",
    });
    await desk.advance(30 * minute);
    const described = await desk.ours.putSchedule("s", { description: "e" });
    const version = expect.any(Number);
    expect(described).toEqual({ ...made, description: "e", version });
    expect(await desk.ours.putSchedule("s", { description: null })).toEqual({
      ...made,
      description: null,
      version,
    });
    const moved = await desk.ours.putSchedule("s", { cron: "45 * * * *" });
    expect(moved).toMatchObject({ nextRun: start + 45 * minute, createdAt: start, via: "v1" });
    const zoned = await desk.ours.putSchedule("s", { timezone: "Asia/Kolkata" });
    // Half an hour off: a quarter past.
    expect(zoned.nextRun).toBe(start + 75 * minute);
    const other = await desk.ours.putSchedule("s", { job: job({ queue: "mail" }) });
    expect(other).toMatchObject({ queue: "mail", cron: "45 * * * *" });
  });

  test("rest while they are disabled, and run none of what they missed", async () => {
    await desk.ours.putSchedule("s", { cron: "* * * * *", job: job() });
    expect(await desk.ours.putSchedule("s", { enabled: false })).toMatchObject({ nextRun: null });
    await desk.pass(5 * minute, minute);
    expect(await ran()).toEqual([]);
    const now = desk.clock.now();
    expect(await desk.ours.putSchedule("s", { enabled: true })).toMatchObject({
      nextRun: now + minute,
    });
    await desk.advance(minute);
    expect(await ran()).toEqual([now + minute]);
  });

  test.each<[string, ScheduleInput, "new" | "existing" | undefined, string, string]>([
    ["no cron", { job: job() }, undefined, "VALIDATION", "cron"],
    ["no job", { cron: "* * * * *" }, undefined, "VALIDATION", "job"],
    ["a wrong cron", { cron: "* * *", job: job() }, undefined, "VALIDATION", "cron"],
    ["a cron that is a number", { cron: 5 as never, job: job() }, undefined, "VALIDATION", "cron"],
    [
      "a wrong zone",
      { cron: "* * * * *", timezone: "Mars/Base", job: job() },
      undefined,
      "VALIDATION",
      "timezone",
    ],
    [
      "a job that could not be added",
      { cron: "* * * * *", job: job({ priority: 0.5 }) },
      undefined,
      "VALIDATION",
      "priority",
    ],
    [
      "a job that waits for itself",
      { cron: "* * * * *", job: job({ dependsOn: [{ sibling: 0 }] }) },
      undefined,
      "VALIDATION",
      "dependsOn[0]",
    ],
    ["a name that is taken", { cron: "* * * * *", job: job() }, "new", "DUPLICATE_SCHEDULE", ""],
    [
      "a name that is unknown",
      { cron: "* * * * *", job: job() },
      "existing",
      "SCHEDULE_NOT_FOUND",
      "",
    ],
  ])("are refused with %s", async (_, input, expect_, code, field) => {
    await desk.ours.putSchedule("taken", { cron: "0 0 1 1 *", job: job() });
    const name = code === "DUPLICATE_SCHEDULE" ? "taken" : "s";
    const error = await refusal(desk.ours.putSchedule(name, input, expect_));
    expect(error.code).toBe(code);
    if (field !== "") expect(error.details.errors?.[0]?.field).toBe(field);
    expect(await desk.ours.schedules()).toHaveLength(1);
  });

  test("run once after a downtime, not once for each time missed", async () => {
    await desk.ours.putSchedule("s", { cron: "*/10 * * * *", job: job() });
    const [record] = await desk.ours.schedules();
    const later = new Desk("/nonexistent", { startAt: desk.clock.now() + 65 * minute });
    await later.adapter.open();
    await later.adapter.putSchedule({ schedule: record!, replaces: null });
    await later.queue.open();
    await later.settle();
    expect(await ran(later)).toEqual([later.clock.now()]);
    expect((await later.ours.schedules())[0]).toMatchObject({
      lastRun: record!.nextRun,
      nextRun: desk.clock.now() + 70 * minute,
    });
    await later.pass(20 * minute, minute);
    expect(await ran(later)).toHaveLength(3);
    await later.queue.close();
  });

  test("with a fixed hour run once on the days when the clocks change", async () => {
    const berlin = await Desk.open({ startAt: Date.UTC(2026, 2, 27, 12) });
    await berlin.ours.putSchedule("s", {
      cron: "30 2 * * *",
      timezone: "Europe/Berlin",
      job: job(),
    });
    await berlin.pass(4 * 24 * 60 * minute, 30 * minute);
    const spring = (await ran(berlin)).map((at) => new Date(at).toISOString().slice(5, 16));
    // On the 29th there is no half past two: the clocks go from 2 to 3 at 1:00 UTC.
    expect(spring).toEqual(["03-28T01:30", "03-29T01:00", "03-30T00:30", "03-31T00:30"]);
    const autumn = await Desk.open({ startAt: Date.UTC(2026, 9, 23, 12) });
    await autumn.ours.putSchedule("s", {
      cron: "30 2 * * *",
      timezone: "Europe/Berlin",
      job: job(),
    });
    await autumn.pass(3 * 24 * 60 * minute, 30 * minute);
    const doubled = (await ran(autumn)).map((at) => new Date(at).toISOString().slice(5, 16));
    expect(doubled).toEqual(["10-24T00:30", "10-25T00:30", "10-26T01:30"]);
  });

  test("add one job for each due time, however many processes look", async () => {
    const start = desk.clock.now();
    await desk.ours.putSchedule("s", { cron: "* * * * *", job: job() });
    const others = [1, 2, 3].map(otherScheduler);
    for (const other of others) await other.start();
    await desk.pass(10 * minute, 10_000);
    for (const other of others) other.stop();
    expect(await ran()).toEqual(Array.from({ length: 10 }, (_, i) => start + (i + 1) * minute));
    expect(desk.errors).toEqual([]);
  });

  test("keep every field when several processes change them at once, and fire meanwhile", async () => {
    const start = desk.clock.now();
    const made = await desk.ours.putSchedule("s", { cron: "* * * * *", job: job() });
    const changes: ScheduleInput[] = [
      { description: "changed" },
      { via: "native" },
      { job: job({ queue: "mail" }) },
    ];
    const others = changes.map(otherScheduler);
    await desk.advance(minute);
    await Promise.all(
      changes.map((change, i) => others[i]!.put("default", "s", change, undefined)),
    );
    await desk.settle(10);
    expect((await desk.ours.schedules())[0]).toEqual({
      ...made,
      description: "changed",
      via: "native",
      queue: "mail",
      template: JSON.stringify(job({ queue: "mail" })),
      nextRun: start + 2 * minute,
      lastRun: start + minute,
      version: expect.any(Number),
    });
    expect((await desk.ours.list({}, { limit: 9, order: "asc" })).total).toBe(1);
    // One of them makes it, the others find it made.
    const input = { cron: "0 0 1 1 *", job: job() };
    const attempts = await Promise.allSettled(
      others.map((other) => other.put("default", "once", input, "new")),
    );
    expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const one of attempts) {
      if (one.status === "rejected")
        expect(one.reason).toMatchObject({ code: "DUPLICATE_SCHEDULE" });
    }
    expect(desk.errors).toEqual([]);
  });

  test("do not run a due time twice when they are changed just as they fire", async () => {
    await desk.ours.putSchedule("s", { cron: "* * * * *", job: job() });
    const { listSchedules } = desk.adapter;
    // The change reads the schedule before it is due, and writes it after.
    vi.spyOn(desk.adapter, "listSchedules").mockImplementationOnce(async (params) => {
      const found = await listSchedules.call(desk.adapter, params);
      await desk.settle(10);
      return found;
    });
    const change = desk.ours.putSchedule("s", { description: "changed" });
    await desk.advance(minute);
    await change;
    await desk.advance(1000);
    await desk.settle(10);
    expect(await ran()).toHaveLength(1);
    await desk.advance(minute - 1000);
    expect(await ran()).toHaveLength(2);
    expect((await desk.ours.schedules())[0]).toMatchObject({ description: "changed" });
  });

  test("go on when their job is refused by the store, and say so", async () => {
    await desk.ours.putSchedule("s", {
      cron: "* * * * *",
      job: job({ uniqueKey: "one at a time" }),
    });
    await desk.pass(3 * minute, minute);
    expect(await ran()).toHaveLength(1);
    expect(desk.errors).toEqual(
      Array(2).fill("add the job of schedule s: QueueError: Duplicate job"),
    );
    const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
    await desk.ours.ack([{ id: run!.id, lease: run!.lease }]);
    await desk.pass(minute, minute);
    expect(await ran()).toHaveLength(2);
  });

  test("go on when their job is refused by its type, say so once for each due time, and hold up no other", async () => {
    const data = { datasetId: "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b", format: "csv" };
    await desk.ours.putSchedule("a", {
      cron: "* * * * *",
      job: job({ queue: "data_export", data }),
    });
    await desk.ours.putSchedule("b", { cron: "* * * * *", job: job() });
    const [record] = await desk.ours.schedules();
    // As after an upgrade whose type is stricter.
    await desk.adapter.putSchedule({
      schedule: { ...record!, template: JSON.stringify(job({ queue: "data_export" })) },
      replaces: record!.version,
    });
    await desk.pass(3 * minute, 1000);
    expect(desk.errors).toHaveLength(3);
    expect(desk.errors[0]).toMatch(/^fire schedule a: QueueError: datasetId/);
    expect(await ran()).toHaveLength(3);
  });

  test("go on after the store was away", async () => {
    await desk.ours.putSchedule("s", { cron: "* * * * *", job: job() });
    const fire = vi.spyOn(desk.adapter, "fireSchedule");
    fire.mockRejectedValueOnce(new QueueError("UNAVAILABLE", "disk full"));
    const list = vi.spyOn(desk.adapter, "listSchedules");
    list.mockRejectedValueOnce(new QueueError("UNAVAILABLE", "disk full"));
    const start = desk.clock.now();
    await desk.pass(minute + 5000, 500);
    expect(desk.errors).toHaveLength(2);
    expect(await ran()).toHaveLength(1);
    expect((await ran())[0]! - start - minute).toBeLessThanOrEqual(3000);
  });

  test("stop when the queue closes", async () => {
    await desk.ours.putSchedule("s", { cron: "* * * * *", job: job() });
    const fire = vi.spyOn(desk.adapter, "fireSchedule");
    await desk.queue.close();
    desk.clock.advance(10 * minute);
    await setImmediate();
    expect(fire).not.toHaveBeenCalled();
  });

  test("can be deleted, once", async () => {
    await desk.ours.putSchedule("s", { cron: "* * * * *", job: job() });
    await desk.ours.deleteSchedule("s");
    expect((await refusal(desk.ours.deleteSchedule("s"))).code).toBe("SCHEDULE_NOT_FOUND");
    await desk.pass(3 * minute, minute);
    expect(await ran()).toEqual([]);
  });
});

// ---- large payloads

describe("large payloads", () => {
  test("lie in files, and are read back whole", async () => {
    const id = await desk.ours.add(largeJob());
    const found = await desk.ours.get(id);
    expect(found.data).toMatchObject({ bytes: JSON.stringify(large()).length });
    expect(await desk.files()).toHaveLength(1);
    expect((await desk.ours.load(found)).data).toBe(JSON.stringify(large()));
  });

  test("are deleted with their job: removed one by one, in bulk, pruned", async () => {
    const result = "r".repeat(1_000_001);
    const [removed] = await desk.ours.addMany(
      [largeJob(), largeJob({ tags: ["bulk"] }), largeJob()],
      { atomic: true },
    );
    const runs = await desk.ours.pull({ queue: "sentiment_analysis_batch", limit: 3 });
    await desk.ours.ack(runs.map(({ id, lease }) => ({ id, lease, result })));
    expect(await desk.files()).toHaveLength(6);
    await desk.ours.remove(removed as number);
    expect(await desk.files()).toHaveLength(4);
    expect(await desk.ours.applyToMany({ tag: "bulk" }, "remove")).toBe(1);
    expect(await desk.files()).toHaveLength(2);
    await desk.pass(86_400_000 + 120_000, 60_000 * 30);
    await expect.poll(() => desk.files()).toEqual([]);
  });

  test.each([
    ["an atomic batch with a wrong job", [largeJob(), job({ queue: "" })], true],
    [
      "an atomic batch with a duplicate",
      [largeJob(), job({ uniqueKey: "k" }), job({ uniqueKey: "k" })],
      true,
    ],
    ["a duplicate", [largeJob({ uniqueKey: "taken" })], false],
    ["an orphan", [largeJob({ dependsOn: [{ sibling: 1 }] }), job({ queue: "" })], false],
    ["a job in a circle", [largeJob({ dependsOn: [{ sibling: 0 }] })], false],
    ["a job whose dependency is unknown", [largeJob({ dependsOn: [999] })], false],
  ] as const)("are not left behind by %s", async (_, jobs, atomic) => {
    await desk.ours.add(largeJob({ uniqueKey: "taken" }));
    const outcome = await desk.ours.addMany(jobs, { atomic }).catch((error: unknown) => [error]);
    expect(outcome.some((one) => one instanceof QueueError)).toBe(true);
    expect(await desk.files()).toHaveLength(1);
  });

  test("are not left behind by a store that fails", async () => {
    const unavailable = new QueueError("UNAVAILABLE", "disk full");
    vi.spyOn(desk.adapter, "enqueue").mockRejectedValueOnce(unavailable);
    expect(await refusal(desk.ours.add(largeJob()))).toMatchObject(unavailable.toJSON());
    const id = await desk.ours.add(job());
    const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
    vi.spyOn(desk.adapter, "complete").mockRejectedValueOnce(unavailable);
    const result = "r".repeat(1_000_001);
    expect(await refusal(desk.ours.ack([{ id, lease: run!.lease, result }]))).toBe(unavailable);
    expect(await desk.files()).toEqual([]);
  });

  test("of a batch are reported each where the store fails, the wrong ones with what is wrong", async () => {
    const unavailable = new QueueError("UNAVAILABLE", "disk full");
    const enqueue = vi.spyOn(desk.adapter, "enqueue").mockRejectedValue(unavailable);
    const batch = [largeJob(), { ...largeJob(), priority: 0.5 }, job()];
    const outcomes = await desk.ours.addMany(batch, { atomic: false });
    expect(outcomes).toMatchObject([
      { code: "UNAVAILABLE", details: { index: 0 } },
      { code: "VALIDATION", details: { index: 1 } },
      { code: "UNAVAILABLE", details: { index: 2 } },
    ]);
    expect(await refusal(desk.ours.addMany([job()], { atomic: true }))).toBe(unavailable);
    expect(await desk.files()).toEqual([]);
    enqueue.mockRestore();
  });

  test("stay where the store may have kept their job or result, though it did not say so", async () => {
    const uncertain = new QueueError("UNAVAILABLE", "cut off", { uncertain: true });
    const { adapter, ours } = desk;
    const enqueue = adapter.enqueue.bind(adapter);
    vi.spyOn(adapter, "enqueue").mockImplementationOnce(async (params) => {
      await enqueue(params);
      throw uncertain;
    });
    expect(await refusal(ours.add(largeJob()))).toMatchObject(uncertain.toJSON());
    const [run] = await ours.pull({ queue: "sentiment_analysis_batch", limit: 1 });
    const complete = adapter.complete.bind(adapter);
    vi.spyOn(adapter, "complete").mockImplementationOnce(async (params) => {
      await complete(params);
      throw uncertain;
    });
    const { id, lease } = run!;
    const result = "r".repeat(1_000_001);
    expect(await refusal(ours.ack([{ id, lease, result }]))).toBe(uncertain);
    const { data, result: kept } = await ours.load(await ours.get(id));
    expect([data, kept]).toEqual([JSON.stringify(large()), JSON.stringify(result)]);
  });

  test("are not left behind by results that come too late, nor by a wrong one among them", async () => {
    const result = "r".repeat(1_000_001);
    const ids = (await desk.ours.addMany([job(), job()], { atomic: true })) as number[];
    const runs = await desk.ours.pull({ queue: "work", limit: 2 });
    await desk.ours.cancel(ids[0]!, { running: true });
    const acks = runs.map(({ id, lease }) => ({ id, lease, result }));
    await refusal(desk.ours.ack([...acks, { id: ids[1]!, result: Number.NaN }]));
    expect(await desk.files()).toEqual([]);
    const outcomes = await desk.ours.ack(acks);
    expect(outcomes).toEqual([expect.objectContaining({ code: "STALE_LEASE" }), true]);
    expect(await desk.files()).toHaveLength(1);
  });

  test("are not left behind by schedules", async () => {
    await desk.ours.putSchedule("s", { cron: "* * * * *", job: largeJob({ uniqueKey: "k" }) });
    await refusal(desk.ours.putSchedule("s", { job: largeJob() }, "new"));
    expect(await desk.files()).toEqual([]);
    await desk.advance(60_000);
    await expect.poll(() => desk.files()).toHaveLength(1);
    await desk.advance(60_000);
    await expect.poll(() => desk.errors).toHaveLength(1);
    await expect.poll(() => desk.files()).toHaveLength(1);
  });

  test("that cannot be written are refused, and nothing is kept", async () => {
    // Where the folder should be lies a file: also root cannot write there.
    await mkdir(dirname(desk.folder), { recursive: true });
    await writeFile(desk.folder, "in the way");
    const error = await refusal(desk.ours.add(largeJob()));
    expect(error).toMatchObject({ code: "UNAVAILABLE", details: { retryAfterMs: 1000, index: 0 } });
    await chmod(desk.folder, 0o600);
    expect(await desk.ours.count()).toMatchObject({ waiting: 0 });
    await desk.ours.add(job());
  });

  test("that are lost are told as that", async () => {
    const found = await desk.ours.get(await desk.ours.add(largeJob()));
    await desk.queue.payloads.delete([found.data as { file: string; bytes: number }]);
    expect((await refusal(desk.ours.load(found))).code).toBe("UNAVAILABLE");
  });

  test("begin with the first byte over the limit", async () => {
    const id = await desk.ours.add(job());
    const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
    await desk.ours.ack([{ id, lease: run!.lease, result: "é".repeat(499_999) }]);
    expect(await desk.files()).toEqual([]);
    expect((await desk.ours.get(id)).result).toBe(`"${"é".repeat(499_999)}"`);
  });
});

// ---- pulled runs

describe("pulled jobs", () => {
  test("are retried with growing delays, as often as they may", async () => {
    const id = await desk.ours.add(job({ maxAttempts: 3, backoffMs: 1000 }));
    const seen: unknown[] = [];
    for (const wait of [0, 1000, 2000]) {
      await desk.advance(wait);
      const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
      seen.push(await desk.ours.fail({ id, lease: run!.lease, error: "x", code: "C" }));
    }
    expect(seen).toEqual(["delayed", "delayed", "failed"]);
    expect(await desk.ours.get(id)).toMatchObject({
      attemptsMade: 3,
      error: { message: "x", code: "C" },
    });
  });

  test("are not retried when told that it is no use", async () => {
    const id = await desk.ours.add(job({ maxAttempts: 3 }));
    await desk.ours.pull({ queue: "work", limit: 1 });
    expect(await desk.ours.fail({ id, error: "x", final: true })).toBe("failed");
  });

  test("tell long errors and log lines cut, but not through a character", async () => {
    const id = await desk.ours.add(job());
    const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
    const long = `${"x".repeat(9999)}\ud83d\ude00`;
    await desk.ours.log(id, [long, "\ud800"], run!.lease);
    await desk.ours.fail({ id, lease: run!.lease, error: long });
    const cut = `${"x".repeat(9999)}\ufffd`;
    expect((await desk.ours.get(id)).error?.message).toBe(cut);
    const { lines } = await desk.ours.logs(id, { offset: 0, limit: 5 });
    expect(lines.map(({ line }) => line)).toEqual([cut, "\ufffd"]);
  });

  test("of a type that retries some errors only are retried for those", async () => {
    const data = { datasetId: "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b", format: "csv" };
    for (const [code, state] of [
      ["NETWORK_ERROR", "delayed"],
      ["BAD_ROW", "failed"],
      [undefined, "failed"],
    ] as const) {
      const id = await desk.ours.add(job({ queue: "data_export", data }));
      const [run] = await desk.ours.pull({ queue: "data_export", limit: 1 });
      const told = { id, lease: run!.lease, error: "x", ...(code === undefined ? {} : { code }) };
      expect(await desk.ours.fail(told)).toBe(state);
    }
  });

  test("stay with a worker that is heard of, and of no other, and it is listed", async () => {
    const [mine, other] = (await desk.ours.addMany([job(), job()], { atomic: true })) as number[];
    await desk.ours.pull({ queue: "work", limit: 1, worker: "mine" });
    await desk.ours.pull({ queue: "work", limit: 1, worker: "other" });
    await desk.advance(200_000);
    const worker = { id: "mine", queues: ["work"], concurrency: 3 };
    await desk.ours.heartbeat({ ...worker, active: 1, jobsProcessed: 20 });
    await desk.ours.heartbeat(worker);
    expect(await desk.ours.workers()).toMatchObject([{ ...worker, active: 1, jobsProcessed: 20 }]);
    await desk.advance(100_200);
    expect((await desk.ours.get(mine!)).state).toBe("active");
    expect(await desk.ours.get(other!)).toMatchObject({ state: "waiting", crashes: 1 });
    expect(await desk.ours.workers()).toEqual([]);
  });

  test("given back run again in their place, uncounted", async () => {
    const [a, b] = (await desk.ours.addMany([job(), job()], { atomic: true })) as number[];
    const [run] = await desk.ours.pull({ queue: "work", limit: 1 });
    expect(await desk.ours.release(a!, run!.lease)).toBe("waiting");
    expect((await desk.ours.pull({ queue: "work", limit: 2 })).map(({ id }) => id)).toEqual([a, b]);
    expect(await desk.ours.get(a!)).toMatchObject({ crashes: 0, attemptsMade: 0 });
  });
});

test.each<[Partial<NewJob> & Pick<NewJob, "queue" | "data">, string | null, string | null]>([
  [{ queue: "process_batch", data: { projectId: "p", batchId: "b" } }, "p", "b"],
  [{ queue: "reprocess_batch", data: { projectId: "p", batchIds: ["b", "b"] } }, "p", "b"],
  [{ queue: "process_batch", data: { projectId: "p", batchId: "b", batchIds: ["c"] } }, "p", null],
  [{ queue: "process_batch", data: { projectId: "p", batchId: "b" }, project: "q" }, "q", "b"],
  [
    {
      queue: "process_redo",
      data: {
        projectId: "p",
        batchId: "b",
        rowIndex: 0,
        redoColumnIds: ["c"],
        croppedImageIds: { c: "i" },
      },
    },
    "p",
    "b",
  ],
  [{ queue: "work", data: { projectId: "p", batchId: "b" } }, null, null],
])("a job is found by what its type is about: %j", async (added, project, batch) => {
  const id = await desk.ours.add(added);
  expect(await desk.ours.get(id)).toMatchObject({ project, batch });
});

test("the runs of a job, of the tenant's own alone", async () => {
  const id = await desk.ours.add(job());
  const [run] = await desk.ours.pull({ queue: "work", limit: 1, worker: "w" });
  await desk.ours.fail({ id, lease: run?.lease as string, error: "no" });
  expect(await desk.ours.runs(id)).toMatchObject([{ number: 1, outcome: "failed", error: "no" }]);
  expect((await refusal(desk.queue.of("acme").runs(id))).code).toBe("JOB_NOT_FOUND");
});

describe("a job that is run again as another one", () => {
  async function failedJob(rest: Partial<NewJob> = {}): Promise<number> {
    const id = await desk.ours.add(job({ data: { n: 0.1, list: [1, "ä"] }, ...rest }));
    await desk.ours.pull({ queue: "work", limit: 1 });
    await desk.ours.fail({ id, error: "no", final: true });
    return id;
  }

  test("is as it was, but for what is changed", async () => {
    const given = {
      name: "n",
      priority: -3,
      lifo: true,
      ttlMs: 9000,
      timeoutMs: 5000,
      maxAttempts: 4,
      backoffMs: 77,
      uniqueKey: "k",
      tags: ["t"],
      project: "p",
      batch: "b",
      origin: { via: "v1", priority: "high" },
    };
    const old = await failedJob(given);
    const same = await desk.ours.requeue(old);
    const like = { ...given, data: '{"n":0.1,"list":[1,"ä"]}', state: "waiting", attemptsMade: 0 };
    expect(await desk.ours.get(same)).toMatchObject(like);
    const held = await refusal(desk.ours.requeue(old));
    expect([held.code, held.details.existingId]).toEqual(["DUPLICATE_JOB", same]);
    const changes = { uniqueKey: null, data: [1], priority: 5, delayMs: 1000, tags: [] };
    const other = await desk.ours.requeue(old, { ...changes, remove: true });
    expect(await desk.ours.get(other)).toMatchObject({
      ...like,
      ...changes,
      data: "[1]",
      state: "delayed",
      origin: null,
    });
    expect((await refusal(desk.ours.get(old))).code).toBe("JOB_NOT_FOUND");
  });

  test("stays with its tenant, is checked by its type, and has to be finished", async () => {
    const id = await desk.queue.of("acme").add(job());
    const early = await refusal(desk.queue.of("*").requeue(id));
    expect([early.code, early.details.state]).toEqual(["INVALID_STATE", "waiting"]);
    await desk.queue.of("acme").cancel(id, { running: true });
    const again = await desk.queue.of("*").requeue(id);
    expect(await desk.queue.of("*").get(again)).toMatchObject({ tenant: "acme" });
    expect((await refusal(desk.ours.requeue(id))).code).toBe("JOB_NOT_FOUND");
    const typed = await desk.ours.add({
      queue: "sentiment_analysis_batch",
      data: { texts: ["x"] },
    });
    await desk.ours.cancel(typed, { running: true });
    expect((await refusal(desk.ours.requeue(typed, { data: { texts: [] } }))).code).toBe(
      "VALIDATION",
    );
  });

  test("may have data that lies in a file", async () => {
    const id = await desk.ours.add(largeJob());
    await desk.ours.cancel(id, { running: true });
    const copy = await desk.ours.requeue(id, { remove: true });
    expect(await desk.files()).toHaveLength(1);
    expect((await desk.ours.load(await desk.ours.get(copy))).data).toBe(JSON.stringify(large()));
  });
});

test("the dependents of a job", async () => {
  const parent = await desk.ours.add(job());
  const child = await desk.ours.add(job({ dependsOn: [parent] }));
  expect(await desk.ours.dependents(parent, { limit: 5 })).toEqual({ ids: [child], total: 1 });
  const other = desk.queue.of("acme").dependents(parent, { limit: 5 });
  expect((await refusal(other)).code).toBe("JOB_NOT_FOUND");
});

describe("fields that jobs are found by", () => {
  test("are paths in data or results, at most 16", async () => {
    const paths = ["data.wellId", "result.rows.0.total", "data.größe", "data.a-b c"];
    const { indexedPaths } = await desk.ours.configure("work", { indexedPaths: paths });
    expect(indexedPaths).toEqual(paths);
    const twice = ["data.a", "data.a"];
    expect((await desk.ours.configure("work", { indexedPaths: twice })).indexedPaths).toEqual([
      "data.a",
    ]);
    const many = Array.from({ length: 17 }, (_, i) => `data.f${i}`);
    for (const wrong of [["data"], ["wellId"], ["data."], ["data..a"], ["error.a"], [7], many, 1]) {
      const settings = { indexedPaths: wrong as string[] };
      expect((await refusal(desk.ours.configure("work", settings))).code).toBe("VALIDATION");
    }
  });

  test("are searched in queues that are named", async () => {
    await desk.ours.configure("work", { indexedPaths: ["data.n"] });
    const id = await desk.ours.add(job({ data: { n: 7 } }));
    const page = { limit: 5, order: "asc" } as const;
    const payload = { path: "data.n", equals: 7 };
    const found = await desk.ours.list({ queues: ["work"], payload }, page);
    expect(found.jobs.map((each) => each.id)).toEqual([id]);
    for (const wrong of [
      { payload },
      { payload, queues: [] },
      { queues: ["work"], payload: { path: "n", equals: 7 } },
      { queues: ["work"], payload: { path: "data.n", equals: [7] as unknown as number } },
    ]) {
      expect((await refusal(desk.ours.list(wrong, page))).code).toBe("VALIDATION");
    }
  });
});

describe("lists", () => {
  test("come with payloads, or without", async () => {
    const id = await desk.ours.add(job({ data: { rows: [1, 2] }, tags: ["t"] }));
    const page = { limit: 10, order: "asc" } as const;
    const whole = await desk.ours.get(id);
    expect(await desk.ours.list({ tag: "t" }, page)).toEqual({ jobs: [whole], total: 1 });
    const { data, result, ...outline } = whole;
    expect([data, result]).toEqual(['{"rows":[1,2]}', null]);
    const bare = await desk.ours.list({ tag: "t" }, { ...page, payloads: false });
    expect(bare).toEqual({ jobs: [outline], total: 1 });
    const odd = { ...page, payloads: "no" } as unknown as { limit: 1; order: "asc" };
    expect((await refusal(desk.ours.list({}, odd))).code).toBe("VALIDATION");
  });
});

describe("files of jobs that are gone", () => {
  test("are told of, job by job, however the job is removed", async () => {
    const told: RemovedJob[] = [];
    const desk = await Desk.open({
      keepCompletedMs: 1000,
      onRemoved: async (jobs) => void told.push(...jobs),
    });
    const ids = (await desk.ours.addMany([job(), job({ tags: ["bulk"] }), job()], {
      atomic: true,
    })) as number[];
    await desk.ours.remove(ids[0] as number);
    expect(told).toEqual([{ tenant: "default", queue: "work", id: ids[0], files: [] }]);
    await desk.ours.applyToMany({ tag: "bulk" }, "remove");
    await desk.ours.pull({ queue: "work", limit: 1 });
    await desk.ours.ack([{ id: ids[2] as number }]);
    await desk.pass(120_000, 60_000);
    expect(told.map(({ id }) => id)).toEqual(ids);
  });

  test("a failure to delete them is told, and stops nothing", async () => {
    const desk = await Desk.open({ onRemoved: () => Promise.reject(new Error("EIO")) });
    const id = await desk.ours.add(job());
    await desk.ours.remove(id);
    expect(desk.errors).toEqual(["delete the files of removed jobs: Error: EIO"]);
  });

  test("old payloads that belong to no job are swept, an hour apart", async () => {
    const kept = await desk.ours.add(largeJob());
    const [known] = await desk.files();
    const leave = async (name: string, ageMs: number): Promise<void> => {
      await writeFile(join(desk.folder, name), "{}");
      const then = new Date(Date.now() - ageMs);
      await utimes(join(desk.folder, name), then, then);
    };
    const old = new Date(Date.now() - 7_200_000);
    await utimes(join(desk.folder, known as string), old, old);
    const young = `${randomUUID()}.json`;
    for (let i = 0; i < 1001; i++) await leave(`${randomUUID()}.json`, 3_700_000);
    await leave(young, 3_500_000);
    // Nothing of ours, however old.
    const others = ["notes.json", "README.md", `${randomUUID()}.txt`, `x${randomUUID()}.json`];
    for (const other of others) await leave(other, 9_000_000);
    expect(await desk.queue.sweep()).toBe(1001);
    expect((await desk.files()).toSorted()).toEqual([String(known), young, ...others].toSorted());
    await leave(young, 3_700_000);
    await desk.pass(1_800_000, 60_000);
    expect(await desk.files()).toContain(young);
    await desk.pass(1_920_000, 60_000);
    await expect.poll(() => desk.files()).not.toContain(young);
    expect((await desk.files()).toSorted()).toEqual([String(known), ...others].toSorted());
    expect((await desk.ours.load(await desk.ours.get(kept))).data).toBe(JSON.stringify(large()));
    expect(desk.errors).toEqual([]);
  });
});

describe("housekeeping", () => {
  test("prunes finished jobs by the clock, each state in its time, in steps of any number", async () => {
    const desk = await Desk.open({ keepCompletedMs: 3_600_000, keepFailedMs: 7_200_000 });
    const ids = (await desk.ours.addMany(
      Array.from({ length: 450 }, () => job()),
      { atomic: true },
    )) as number[];
    await desk.ours.pull({ queue: "work", limit: 410 });
    await desk.ours.ack(ids.slice(0, 405).map((id) => ({ id })));
    for (const id of ids.slice(405, 410)) await desk.ours.fail({ id, error: "x" });
    await desk.pass(3_600_000 - 60_000, 600_000);
    expect(await desk.ours.count()).toMatchObject({ completed: 405, failed: 5, waiting: 40 });
    await desk.pass(240_000, 60_000);
    expect(await desk.ours.count()).toMatchObject({ completed: 0, failed: 5, waiting: 40 });
    await desk.pass(3_600_000, 600_000);
    await desk.pass(120_000, 60_000);
    expect(await desk.ours.count()).toMatchObject({ completed: 0, failed: 0, waiting: 40 });
    expect(desk.errors).toEqual([]);
  });

  test("goes on after it failed, and stops with the queue", async () => {
    const prune = vi.spyOn(desk.adapter, "prune");
    prune.mockRejectedValueOnce(new QueueError("UNAVAILABLE", "disk full"));
    await desk.pass(180_000, 60_000);
    expect(prune).toHaveBeenCalledTimes(3);
    expect(desk.errors).toEqual(["prune finished jobs: QueueError: disk full"]);
    await desk.queue.close();
    desk.clock.advance(600_000);
    expect(prune).toHaveBeenCalledTimes(3);
  });
});
