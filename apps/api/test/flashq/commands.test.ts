import { JobQueue } from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Role } from "../../src/auth/caller.ts";
import {
  commands,
  type Command,
  execute,
  giveBack,
  pull,
  type Session,
} from "../../src/dialects/flashq/commands.ts";
import { refusalOf } from "../../src/dialects/flashq/errors.ts";
import { jobText } from "../../src/dialects/flashq/mapping.ts";
import { RequestError } from "../../src/request-error.ts";
import { temporaryFolder } from "../running-server.ts";

async function session(tenant = "default", ...roles: Role[]): Promise<Session> {
  const queue = new JobQueue({
    adapter: new SqliteAdapter({ path: ":memory:" }),
    payloadFolder: await temporaryFolder(),
  });
  await queue.open();
  onTestFinished(() => queue.close());
  const granted: Role[] = roles.length === 0 ? ["ADMIN"] : roles;
  return {
    queue,
    caller: { tenant, roles: granted, system: false, subject: null, expiresAt: Infinity },
  };
}

function as(other: Session, tenant: string, ...roles: Role[]): Session {
  return {
    queue: other.queue,
    caller: { tenant, roles, system: false, subject: null, expiresAt: Infinity },
  };
}

async function textOf(refused: Promise<unknown>): Promise<string> {
  const error: unknown = await refused.then(
    () => new Error("It was not refused"),
    (error: unknown) => error,
  );
  return refusalOf(error as RequestError).error;
}

const one = { count: 1, waitMs: 0, maxBytes: 1_000_000 };

describe("a job as JSON", () => {
  test("has all fields of the wire, and its data as it was stored", async () => {
    const own = await session();
    const first = await execute(own, commands.push, { queue: "parcels", data: [1.5, "é"] });
    const id = await execute(own, commands.push, {
      queue: "parcels",
      data: { to: "Łódź", "a\u2028b": null },
      priority: 7,
      ttl: 90_000,
      timeout: 4000,
      max_attempts: 4,
      backoff: 250,
      unique_key: 'k"1',
      tags: ["x", 'y"'],
      lifo: true,
      unheard_of: 1,
    });
    const [loaded] = await pull(own, { queue: "parcels", ...one });
    const text = jobText(loaded!, ',"state":"active"');
    expect(text).toContain('"data":{"to":"Łódź","a\u2028b":null}');
    const { created_at, run_at, started_at, lease, ...rest } = JSON.parse(text) as Record<
      string,
      unknown
    >;
    expect(rest).toEqual({
      id,
      queue: "parcels",
      data: { to: "Łódź", "a\u2028b": null },
      priority: 7,
      attempts: 1,
      max_attempts: 4,
      backoff: 250,
      ttl: 90_000,
      timeout: 4000,
      unique_key: 'k"1',
      depends_on: [],
      progress: 0,
      tags: ["x", 'y"'],
      lifo: true,
      state: "active",
    });
    expect([created_at, run_at, started_at].every(Number.isInteger)).toBe(true);
    expect(lease).toBe(loaded?.job.lease);
    const waiting = await execute(own, commands.getJob, { id: String(first) });
    const shown = jobText({ job: waiting!, data: "null" });
    expect(JSON.parse(shown)).toMatchObject({ started_at: 0, attempts: 0, ttl: 0 });
  });
});

describe("pulling", () => {
  test("gives back at once what does not fit the answer", async () => {
    const own = await session();
    const data = "x".repeat(400);
    const jobs = Array.from({ length: 5 }, () => ({ data }));
    await execute(own, commands.pushBatch, { queue: "wide", jobs });
    const got = await pull(own, { queue: "wide", count: 5, waitMs: 0, maxBytes: 1000 });
    expect(got).toHaveLength(2);
    expect(await execute(own, commands.stats, {})).toMatchObject({ queued: 3, processing: 2 });
    await giveBack(
      own,
      got.map(({ job }) => ({ id: job.id, lease: job.lease! })),
    );
    expect(await execute(own, commands.stats, {})).toMatchObject({ queued: 5, processing: 0 });
  });
});

describe("refusals", () => {
  test.each<[string, Command, unknown, string]>([
    ["no queue", commands.push, { data: 1 }, "Invalid queue name: Required field missing"],
    ["a bad queue", commands.push, { queue: "a b", data: 1 }, "Invalid queue name: Must be 1 to"],
    ["no data", commands.push, { queue: "q" }, "data: Required field missing"],
    ["a bad delay", commands.push, { queue: "q", data: 1, delay: -5 }, "delay: Must be a whole"],
    ["a fraction", commands.push, { queue: "q", data: 1, ttl: 1.5 }, "ttl: "],
    ["a far priority", commands.push, { queue: "q", data: 1, priority: 3e9 }, "priority: Must"],
    ["long data", commands.push, { queue: "q", data: "x".repeat(1e6) }, "Payload too large"],
    [
      "a batch's second",
      commands.pushBatch,
      { queue: "q", jobs: [{ data: 1 }, { data: 1, backoff: -1 }] },
      "jobs[1].backoff: Must be a whole number",
    ],
    [
      "a batch's dependency",
      commands.pushBatch,
      { queue: "q", jobs: [{ data: 1 }, { data: 1, depends_on: ["x"] }] },
      "jobs[1].depends_on[0]: Must be a job's id",
    ],
    ["no id", commands.ack, {}, "id: "],
    ["a boundless id", commands.ackBatch, { ids: [1, Infinity] }, "ids[1]: Has none of the"],
    ["an id of none", commands.ack, { id: 2 ** 60 }, "Job 1152921504606847000 not found"],
    ["a word", commands.getState, { id: "seven" }, "Job seven not found"],
    ["a bad limit", commands.rateLimit, { queue: "q", limit: 0 }, "limit: Must be at least 1"],
    [
      "a bad schedule",
      commands.cron,
      { name: "c", queue: "q", data: 1, schedule: "61 * * * * *" },
      "schedule: ",
    ],
    ["no object", commands.push, 5, "body: Expected object, received number"],
  ])("of %s", async (_, command, input, text) => {
    const own = await session();
    expect(await textOf(execute(own, command, input))).toContain(text);
    expect(await execute(own, commands.stats, {})).toMatchObject({ queued: 0 });
  });

  test("of a batch name each job that has no data", async () => {
    const batch = { queue: "q", jobs: [{}, { data: 1 }, {}] };
    await expect(execute(await session(), commands.pushBatch, batch)).rejects.toMatchObject({
      details: { errors: [{ field: "jobs[0].data" }, { field: "jobs[2].data" }] },
    });
  });

  test("of a duplicate names the holder, and in a batch the place", async () => {
    const own = await session();
    const id = await execute(own, commands.push, { queue: "q", data: 1, unique_key: "k" });
    const again = { data: 2, unique_key: "k" };
    const error = (await execute(own, commands.push, { queue: "q", ...again }).catch(
      (error: unknown) => error,
    )) as RequestError;
    expect(refusalOf(error)).toEqual({
      fault: "DUPLICATE_JOB",
      error: "Duplicate job",
      existing_id: id,
    });
    const batch = { queue: "q", jobs: [{ data: 1 }, again] };
    expect(await textOf(execute(own, commands.pushBatch, batch))).toBe("Duplicate job (jobs[1])");
  });
});

describe("who may", () => {
  test("a MANAGER reads and never claims; only an ADMIN sets limits and crons", async () => {
    const admin = await session();
    const manager = as(admin, "default", "MANAGER");
    const operator = as(admin, "default", "OPERATOR");
    await execute(operator, commands.push, { queue: "q", data: 1 });
    expect(await execute(manager, commands.stats, {})).toMatchObject({ queued: 1 });
    await expect(pull(manager, { queue: "q", ...one })).rejects.toThrow(RequestError);
    await expect(execute(manager, commands.pause, { queue: "q" })).rejects.toThrow(RequestError);
    const limit = { queue: "q", limit: 5 };
    await expect(execute(operator, commands.rateLimit, limit)).rejects.toThrow("Only ADMIN");
    await execute(admin, commands.rateLimit, limit);
    await execute(operator, commands.pause, { queue: "q" });
    expect(await execute(manager, commands.listQueues, {})).toEqual([
      {
        name: "q",
        pending: 1,
        processing: 0,
        dlq: 0,
        paused: true,
        rate_limit: 5,
        concurrency_limit: null,
      },
    ]);
  });

  test("another tenant's job does not exist", async () => {
    const own = await session();
    const other = as(own, "elsewhere", "ADMIN");
    const id = await execute(own, commands.push, { queue: "q", data: 1 });
    expect(await execute(other, commands.getJob, { id })).toBeNull();
    expect(await textOf(execute(other, commands.cancel, { id }))).toBe(`Job ${id} not found`);
    expect(await pull(other, { queue: "q", ...one })).toEqual([]);
  });
});
