import { once } from "node:events";
import { request } from "node:http";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { Begun } from "../running-server.ts";
import { native, refusal } from "./client.ts";

describe.each(engines)("remote work on %s", (engine) => {
  test("pull, report, log, renew, complete", async () => {
    const { add, data, pull } = await native({ engine });
    const id = await add({ queue: "mill", data: { sack: 4 }, timeoutMs: 20_000 });
    const [run] = await pull("mill", 1, "miller-1");
    expect(run).toMatchObject({
      id,
      state: "active",
      data: { sack: 4 },
      worker: "miller-1",
      leaseMs: 20_000,
      lease: expect.stringMatching(/.+/),
    });
    const lease = run?.lease;
    const stats = {
      totalItems: 10,
      processedItems: 4,
      failedItems: 1,
      averageItemMs: 12.5,
      itemsPerSecond: 80,
      estimatedEnd: "2031-05-06T07:08:09.000Z",
    };
    const active = { outcomes: [{ id, state: "active", error: null }] };
    const report = { id, lease, progress: 42.5, message: "second stone", stats };
    expect(await data("POST", "/work/progress", { items: [report] })).toEqual(active);
    expect(await data("GET", `/jobs/${id}`)).toMatchObject({
      progress: 42.5,
      progressMessage: "second stone",
      stats,
    });
    const lines = { items: [{ id, lease, lines: ["one", "two"] }] };
    expect(await data("POST", "/work/log", lines)).toEqual(active);
    expect(await data("POST", "/work/renew", { items: [{ id, lease }] })).toEqual(active);
    const ack = { items: [{ id, lease, result: { flour: 3.5 } }] };
    expect(await data("POST", "/work/ack", ack)).toEqual({
      outcomes: [{ id, state: "completed", error: null }],
    });
    expect(await data("GET", `/jobs/${id}/logs?offset=1`)).toMatchObject({
      items: [{ line: "two" }],
      total: 2,
    });
    expect(await data("GET", `/jobs/${id}/attempts`)).toMatchObject({
      items: [{ run: 1, worker: "miller-1", outcome: "completed", error: null, nextAt: null }],
    });
  });

  test("failures: once more, for good, and given back", async () => {
    const { add, data, pull } = await native({ engine });
    const job = { queue: "fails", maxAttempts: 2, backoffMs: 0 };
    const id = await add(job);
    const fail = async (more: object): Promise<unknown> => {
      const [run] = await pull("fails");
      const item = { id, lease: run?.lease, error: "no wind", ...more };
      return (await data("POST", "/work/fail", { items: [item] })).outcomes;
    };
    expect(await fail({ code: "CALM" })).toMatchObject([{ error: null }]);
    expect(await fail({})).toEqual([{ id, state: "failed", error: null }]);
    expect(await data("GET", `/jobs/${id}/attempts`)).toMatchObject({
      items: [
        { run: 1, outcome: "failed", error: "no wind", nextAt: expect.any(String) },
        { run: 2, outcome: "failed", error: "no wind", nextAt: null },
      ],
    });
    await data("POST", `/jobs/${id}/retry`);
    expect(await fail({ final: true })).toEqual([{ id, state: "failed", error: null }]);
    await data("POST", `/jobs/${id}/retry`);
    const [run] = await pull("fails");
    expect(await data("POST", "/work/release", { items: [{ id, lease: run?.lease }] })).toEqual({
      outcomes: [{ id, state: "waiting", error: null }],
    });
    expect(await data("GET", `/jobs/${id}`)).toMatchObject({ attemptsMade: 0 });
  });

  test("a batch: each item alone, and none without its lease", async () => {
    const { data, call, pull } = await native({ engine });
    await data("POST", "/jobs/bulk", { jobs: [{ queue: "sacks" }, { queue: "sacks" }] });
    const [a, b] = await pull("sacks", 2);
    const items = [
      { id: a?.id, lease: a?.lease },
      { id: b?.id, lease: "9".repeat(20) },
      { id: "no-job", lease: a?.lease },
      { id: "8888888", lease: a?.lease },
    ];
    for (const step of ["renew", "ack"]) {
      const { outcomes } = await data("POST", `/work/${step}`, { items });
      expect(outcomes).toMatchObject([
        { id: a?.id, error: null },
        { id: b?.id, state: null, error: { code: "STALE_LEASE" } },
        { id: "no-job", error: { code: "JOB_NOT_FOUND" } },
        { id: "8888888", error: { code: "JOB_NOT_FOUND" } },
      ]);
    }
    expect(await call("POST", "/work/ack", { items: [{ id: b?.id }] })).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "items[0].lease" }] }),
    );
    expect(await call("POST", "/work/ack", { items: [] })).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "items" }] }),
    );
  });

  test("a pull takes from the queues named, up to its limit, and waits for the first job", async () => {
    const begun = new Begun();
    const { add, data } = await native({ engine, log: begun.log });
    await data("POST", "/jobs/bulk", {
      jobs: [{ queue: "a" }, { queue: "a" }, { queue: "b" }, { queue: "c" }],
    });
    const some = await data("POST", "/work/pull", { queues: ["a", "b"], limit: 10 });
    const queues = some.items.map(({ queue }: { queue: string }) => queue);
    expect(queues.sort()).toEqual(["a", "a", "b"]);
    const rest = await data("POST", "/work/pull", { limit: 10 });
    expect(rest.items).toMatchObject([{ queue: "c" }]);
    expect(await data("POST", "/work/pull")).toEqual({ items: [] });
    const waits = data("POST", "/work/pull", { queues: ["a", "d"], waitMs: 60_000 });
    await begun.request("/work/pull", 4);
    const id = await add({ queue: "d" });
    expect((await waits).items).toMatchObject([{ id }]);
  });

  test("a caller that is gone while it waits has taken nothing", async () => {
    const begun = new Begun();
    const { url, add, data } = await native({ engine, log: begun.log });
    const gone = new AbortController();
    const body = JSON.stringify({ queues: ["orphans"], waitMs: 60_000 });
    const headers = { "Content-Type": "application/json" };
    const init = { method: "POST", body, headers, signal: gone.signal };
    const waits = fetch(`${url}/work/pull`, init);
    await begun.request("/work/pull");
    gone.abort();
    await expect(waits).rejects.toThrow("aborted");
    const id = await add({ queue: "orphans" });
    // Whoever claims it now has it at once or, had the other one taken it, once that is given back.
    const claimed = await data("POST", "/work/pull", { queues: ["orphans"], waitMs: 10_000 });
    expect(claimed.items).toMatchObject([{ id }]);
  });

  test("a caller that is gone before it has read its jobs gives them back", async () => {
    const { url, data } = await native({ engine });
    const jobs = Array.from({ length: 1000 }, () => ({
      queue: "heavy",
      data: "x".repeat(12_000),
    }));
    await data("POST", "/jobs/bulk", { jobs });
    // Takes the first bytes of some 12 MB.
    const asks = request(`${url}/work/pull`, { method: "POST" });
    asks.end(JSON.stringify({ queues: ["heavy"], limit: 1000 }));
    const [response] = (await once(asks, "response")) as [AsyncIterable<Buffer>];
    for await (const _ of response) break;
    asks.destroy();
    await expect
      .poll(async () => (await data("GET", "/queues/heavy")).counts, { interval: 100 })
      .toMatchObject({ waiting: 1000, active: 0 });
  });

  test("workers: heartbeats, the list, and the end", async () => {
    const { call, data } = await native({ engine });
    const said = { queues: ["mill"], concurrency: 6, active: 2, jobsProcessed: 40 };
    expect(await data("PUT", "/workers/miller-2", said)).toEqual({ leaseMs: 300_000 });
    expect(await data("GET", "/workers")).toMatchObject({
      items: [{ id: "miller-2", tenant: "default", ...said }],
    });
    expect(await call("PUT", "/workers/miller-2", { active: -1 })).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "active" }] }),
    );
    expect(await call("PUT", "/workers/no%20name")).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "worker" }] }),
    );
    expect(await data("DELETE", "/workers/miller-2")).toEqual({ worker: "miller-2" });
    expect(await data("GET", "/workers")).toEqual({ items: [] });
  });

  test("only a POST claims", async () => {
    const { url, add, data } = await native({ engine });
    await add({ queue: "still" });
    for (const method of ["HEAD", "GET", "OPTIONS"]) {
      expect((await fetch(`${url}/work/pull?queues=still`, { method })).status).toBe(405);
    }
    expect((await data("GET", "/queues/still")).counts.waiting).toBe(1);
  });
});
