/** Stores with something of everything in them, and all that the port shows of them. */
import fc from "fast-check";
import type { JobRun, QueueAdapter } from "@jobyard/core";
import { jobSpec, jobSpecs, type VirtualClock } from "../src/testing/index.ts";
import { spec } from "../src/testing/job-factory.ts";
import { visible } from "./faults/store-on-disk.ts";

export const tenant = "*";
const everything = { limit: 10_000, order: "asc" } as const;

export async function fill(adapter: QueueAdapter, clock: VirtualClock): Promise<void> {
  const pull = (queue: string, limit: number, more: object = {}) =>
    adapter.claim({
      tenant,
      queues: [{ queue, limit }],
      limit,
      worker: "w1",
      leaseMs: 30_000,
      inProcess: false,
      timeoutFrom: "progress",
      waitMs: 0,
      ...more,
    });
  await adapter.putWebhook({
    tenant: "default",
    url: "https://example.com/hook",
    events: ["job.failed", "queue.paused"],
    queue: null,
    secret: "s3cret",
    shape: "flashq",
    enabled: true,
  });
  const off = await adapter.putWebhook({
    tenant: "acme",
    url: "https://example.com/off",
    events: ["*"],
    queue: "work",
    secret: null,
    shape: "wellflow",
    enabled: true,
  });
  await adapter.noteWebhook({
    id: off.id,
    verdict: { failingSince: clock.now(), givenUp: 3, disabled: "gone" },
    dropped: 41,
  });
  await adapter.configureQueue({
    tenant: "default",
    queue: "work",
    typed: false,
    settings: { indexedPaths: ["data.wellId", "result.ok"] },
  });
  // An id or two of each block is missing.
  const mixed = await adapter.enqueue({
    jobs: fc.sample(spec, { seed: 7, numRuns: 300 }),
    atomic: false,
  });
  const ids = mixed.map(Number);
  await adapter.remove({ tenant, ids: ids.filter((_, i) => i % 17 === 3) });
  clock.advance(1000);
  await adapter.upkeep();
  for (const queue of ["work", "mail", "video"]) {
    const runs = await pull(queue, 25);
    clock.advance(150);
    const [a, b, c, d, ...others] = runs;
    if (a === undefined || b === undefined || c === undefined || d === undefined)
      throw new Error("none");
    await adapter.progress({
      tenant,
      reports: runs.map(({ id, lease }) => ({ id, lease, progress: 40, message: `"half" ${id}` })),
      leaseMs: 30_000,
    });
    await adapter.log({ tenant, run: a, lines: ["first", "second\twith ünïcode", ""] });
    await adapter.release({ tenant, runs: [a] });
    await adapter.release({ tenant, runs: [b], crashed: { code: "crashed", message: "died" } });
    const error = {
      message: `No route to host ${b.id}`,
      code: "NET",
      stage: "load",
      stack: "at x",
    };
    await adapter.fail({
      tenant,
      runs: [
        { id: c.id, lease: c.lease, error, retryAt: clock.now() + 5000, attempt: 1 },
        { id: d.id, lease: d.lease, error, retryAt: clock.now(), attempt: 1 },
      ],
    });
    const done = others.splice(0, 10);
    await adapter.complete({
      tenant,
      runs: done.map(({ id, lease }, i) => ({
        id,
        lease,
        result: i === 0 ? null : i === 1 ? file(id) : `{"ok": ${i}}`,
        tokens: i,
      })),
    });
    await adapter.fail({
      tenant,
      runs: others.map(({ id, lease }) => ({
        id,
        lease,
        error: { message: `Field ${id} is missing` },
        retryAt: null,
        attempt: 1,
      })),
    });
    await adapter.retry({ tenant, ids: others.slice(0, 3).map(({ id }) => id) });
  }
  // Dependencies: done, pending, failed, forward within one call.
  const [parent, second] = await adapter.enqueue({
    jobs: [jobSpec({ queue: "first" }), jobSpec({ queue: "first", priority: 5 })],
    atomic: true,
  });
  await adapter.enqueue({
    jobs: [
      jobSpec({ queue: "second", dependsOn: [Number(parent), Number(second)] }),
      jobSpec({ queue: "second", dependsOn: [Number(parent)], dependsOnSiblings: [2] }),
      jobSpec({ queue: "third" }),
    ],
    atomic: true,
  });
  const [run] = await pull("first", 1);
  if (run === undefined) throw new Error("none");
  await adapter.complete({ tenant, runs: [{ id: run.id, lease: run.lease, result: "1" }] });
  await adapter.enqueue({
    jobs: [
      jobSpec({ uniqueKey: "only", data: `{"wellId": "w-1", "deep": [1, {"x": null}]}` }),
      jobSpec({ ttlMs: 7000, queue: "short" }),
      jobSpec({ timeoutMs: 500, backoffMs: 77, queue: "short", lifo: true }),
      jobSpec({
        timeoutMs: 500,
        queue: "short",
        lifo: true,
        origin: { via: "v1", priority: "high" },
      }),
      jobSpec({ queue: "file-analysis", typed: true, data: file(1) }),
      jobSpec({
        queue: "file-analysis",
        typed: true,
        tenant: "acme",
        project: "p|1",
        batch: "b 1",
      }),
      jobSpec({ queue: "mail", delayMs: 3_600_000, tags: ["a:b", "c"], name: "ü" }),
    ],
    atomic: true,
  });
  const typed = await pull("file-analysis", 2);
  await adapter.complete({
    tenant,
    runs: typed.map(({ id, lease }) => ({ id, lease, result: "{}" })),
  });
  await adapter.cancel({ tenant, ids: ids.slice(250, 256), running: true, reason: "called off" });
  for (const key of ["first", "second"]) {
    await adapter.enqueueOnce({
      jobs: [jobSpec({ queue: "once" }), jobSpec({ uniqueKey: "only" })],
      atomic: key === "second",
      tenant: "default",
      key,
      note: `note of ${key}`,
    });
  }
  await adapter.configureQueue({
    tenant: "default",
    queue: "mail",
    typed: false,
    settings: { paused: true, rateLimit: 50, concurrency: 7 },
  });
  for (const [name, enabled] of [
    ["nightly", true],
    ["off", false],
  ] as const) {
    const schedule = {
      tenant: "default",
      name,
      cron: "0 3 * * *",
      timezone: "Europe/Berlin",
      enabled,
      description: null,
      queue: "work",
      template: "{}",
      via: "native",
      createdAt: clock.now(),
      nextRun: clock.now() + 60_000,
      lastRun: null,
    };
    await adapter.putSchedule({ schedule, replaces: null });
  }
  await adapter.fireSchedule({
    tenant: "default",
    name: "nightly",
    due: clock.now() + 60_000,
    nextRun: clock.now() + 86_400_000,
    job: jobSpec({ queue: "ticks" }),
  });
  await adapter.putIncomingSecret({ tenant: "acme", queue: "work", secret: "shh" });
  await adapter.enqueue({
    jobs: jobSpecs(2500, (i) => ({ queue: "many", data: `{"i":${i}}` })),
    atomic: true,
  });
  await adapter.upkeep();
}

function file(n: number): { readonly file: string; readonly bytes: number } {
  return { file: `${String(n).padStart(8, "0")}-0000-4000-8000-000000000000.json`, bytes: 12 };
}

/** Everything that the port shows; no job may be active. */
export async function whole(adapter: QueueAdapter): Promise<unknown> {
  const { jobs } = await adapter.list({ filter: { tenant }, page: everything });
  const ids = jobs.map(({ id }) => id);
  const runs: (readonly JobRun[])[] = [];
  const dependents: unknown[] = [];
  for (const id of ids) {
    runs.push(await adapter.runs({ tenant, id }));
    dependents.push(await adapter.dependents({ tenant, id, limit: 100 }));
  }
  const found = async (filter: object): Promise<number[]> => {
    const list = await adapter.list({ filter: { tenant, ...filter }, page: everything });
    return list.jobs.map(({ id }) => id);
  };
  const search = { tenant: "default", queues: ["work"] };
  return {
    all: await visible(adapter),
    runs,
    dependents,
    found: {
      tag: await found({ tag: "a:b" }),
      name: await found({ name: "alpha" }),
      project: await found({ project: "beta" }),
      batch: await found({ batch: "gamma" }),
      error: [await found({ error: "no ROUTE" }), await found({ error: "is MISSING" })],
      data: await found({ ...search, payload: { path: "data.wellId", equals: "w-1" } }),
      result: await found({ ...search, payload: { path: "result.ok", equals: 3 } }),
    },
    stats: {
      minutes: await adapter.stats({ tenant, groupBy: "minute" }),
      levels: await adapter.stats({ tenant: "acme", groupBy: "level" }),
      typed: await adapter.stats({ tenant: "default", queues: ["file-analysis"] }),
    },
    // Which one stands for those that failed in the same millisecond is the engine's affair.
    errorGroups: (await adapter.errorGroups({ tenant, limit: 100 })).map(
      ({ sampleId: _id, sampleMessage: _message, ...group }) => group,
    ),
    outbox: (await adapter.takeOutbox({ limit: 1000 })).map(
      ({ cursor: _cursor, ...event }) => event,
    ),
    secret: await adapter.incomingSecret({ tenant: "acme", queue: "work" }),
    files: await adapter.filesInUse([file(1).file, file(2).file]),
  };
}

/** Where two values differ, the first few: the values themselves are too long to be shown. */
export function differences(a: unknown, b: unknown, path = ""): string[] {
  if (Object.is(a, b)) return [];
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) {
    return [`${path}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`.slice(0, 300)];
  }
  const found: string[] = [];
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const values = [a, b].map((each) => (each as Record<string, unknown>)[key]);
    found.push(...differences(values[0], values[1], `${path}.${key}`));
    if (found.length >= 12) break;
  }
  return found;
}
