import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { native, refusal } from "./client.ts";

const moment = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);

describe.each(engines)("jobs on %s", (engine) => {
  test("a job with everything reads back as it was added", async () => {
    const { add, call, data } = await native({ engine });
    const first = await add({ queue: "ovens" });
    const wanted = {
      queue: "ovens",
      name: "rye",
      data: { loaves: [12, 0.5], note: "crème brûlée \u2028" },
      priority: -3,
      lifo: true,
      ttlMs: 90_000,
      timeoutMs: 45_000,
      maxAttempts: 4,
      backoffMs: 250,
      uniqueKey: "rye-7",
      tags: ["north", "early shift"],
      project: "bakery",
      batch: "b-19",
    };
    const id = await add({ ...wanted, dependsOn: [first] });
    const job = await data("GET", `/jobs/${id}`);
    expect(job).toEqual({
      ...wanted,
      id,
      tenant: "default",
      state: "blocked",
      delayMs: 0,
      dependsOn: [first],
      progress: 0,
      progressMessage: null,
      stats: null,
      createdAt: moment,
      runAt: moment,
      startedAt: null,
      finishedAt: null,
      attemptsMade: 0,
      crashes: 0,
      worker: null,
      error: null,
      addedVia: "native",
      schedule: null,
    });
    expect((await call("GET", `/jobs/${id}/data`)).body).toEqual(wanted.data);
  });

  test("data is optional, and every JSON value is data", async () => {
    const { add, call } = await native({ engine });
    for (const value of [undefined, null, 0, "", [], {}, false]) {
      const id = await add({ queue: "any", ...(value !== undefined && { data: value }) });
      const { body } = await call("GET", `/jobs/${id}/data`);
      expect(body).toEqual(value ?? null);
    }
  });

  test("a unique key is one job's until that has ended", async () => {
    const { add, call, pull, data } = await native({ engine });
    const job = { queue: "keys", uniqueKey: "front door" };
    const id = await add(job);
    expect(await call("POST", "/jobs", job)).toMatchObject(
      refusal(409, "DUPLICATE_JOB", { jobId: id }),
    );
    const [run] = await pull("keys");
    await data("POST", "/work/ack", { items: [{ id, lease: run?.lease }] });
    expect(await add(job)).not.toBe(id);
  });

  test("bulk: each alone, or all or none", async () => {
    const { call, data } = await native({ engine });
    const jobs = [
      { queue: "ovens", data: 1 },
      { queue: "no such name!", data: 2 },
      "no job",
      { queue: "ovens", dependsOn: [{ sibling: 0 }] },
      { queue: "ovens", dependsOn: [{ sibling: 1 }] },
      { queue: "ovens", dependsOn: ["900000000"] },
    ];
    const { added, refused, outcomes } = await data("POST", "/jobs/bulk", JSON.stringify({ jobs }));
    expect([added, refused]).toEqual([2, 4]);
    const codes = outcomes.map(({ error }: { error: { code: string } | null }) => error?.code);
    const bad = "INVALID_JOB_DATA";
    expect(codes).toEqual([undefined, bad, bad, undefined, bad, bad]);
    const blocked = await data("GET", `/jobs/${outcomes[3].id}`);
    expect(blocked).toMatchObject({ state: "blocked", dependsOn: [outcomes[0].id] });

    expect(await call("POST", "/jobs/bulk", { jobs, atomic: true })).toMatchObject(
      refusal(400, bad, { index: 1, errors: [{ field: "queue" }] }),
    );
    expect((await data("GET", "/jobs?limit=0")).total).toBe(2);
    const sound = [jobs[0], jobs[3]];
    expect(await data("POST", "/jobs/bulk", { jobs: sound, atomic: true })).toMatchObject({
      added: 2,
    });
  });

  test("an idempotency key adds once", async () => {
    const { url } = await native({ engine });
    const send = async (path: string, body: object): Promise<unknown> => {
      const headers = { "Content-Type": "application/json", "Idempotency-Key": `k${path}` };
      const init = { method: "POST", headers, body: JSON.stringify(body) };
      const { data } = (await (await fetch(`${url}${path}`, init)).json()) as { data: unknown };
      return data;
    };
    const job = { queue: "once" };
    const first = await send("/jobs", job);
    expect(first).toEqual({ id: expect.any(String) });
    expect(await send("/jobs", job)).toEqual(first);
    const bulk = await send("/jobs/bulk", { jobs: [job, { queue: "?" }, job] });
    expect(bulk).toMatchObject({ added: 2, refused: 1 });
    expect(await send("/jobs/bulk", { jobs: [job, { queue: "?" }, job] })).toEqual(bulk);
    const { data } = (await (await fetch(`${url}/jobs?limit=0`)).json()) as {
      data: { total: number };
    };
    expect(data.total).toBe(3);
  });

  test("bulk: idempotency keys of the jobs' own", async () => {
    const { call, data } = await native({ engine });
    const keyed = (...keys: unknown[]) =>
      keys.map((idempotencyKey) => ({ queue: "once", idempotencyKey }));
    const first = await data("POST", "/jobs/bulk", { jobs: keyed("a", "b") });
    expect(first).toMatchObject({ added: 2, outcomes: [{ repeated: false }, { repeated: false }] });
    const jobs = keyed("a", "c", undefined, 7, "b");
    const mended = await data("POST", "/jobs/bulk", JSON.stringify({ jobs }));
    expect(mended).toMatchObject({ added: 3, refused: 2 });
    expect(mended.outcomes).toEqual([
      { ...first.outcomes[0], repeated: true },
      { id: expect.any(String), error: null, repeated: false },
      { id: null, error: expect.objectContaining({ code: "INVALID_JOB_DATA" }), repeated: false },
      { id: null, error: expect.objectContaining({ code: "INVALID_JOB_DATA" }), repeated: false },
      { ...first.outcomes[1], repeated: true },
    ]);
    expect((await data("GET", "/jobs?limit=0")).total).toBe(3);
    expect(await call("POST", "/jobs/bulk", { jobs: keyed("d"), atomic: true })).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "atomic" }] }),
    );
  });

  test("pages hold still while jobs come in, in both directions", async () => {
    const { data, add } = await native({ engine });
    const jobs = Array.from({ length: 25 }, (_, n) => ({ queue: "pages", data: n }));
    const { outcomes } = await data("POST", "/jobs/bulk", { jobs });
    const ids = outcomes.map(({ id }: { id: string }) => id) as string[];
    const walk = async (order: "asc" | "desc"): Promise<string[]> => {
      const seen: string[] = [];
      let cursor = "";
      do {
        const page = await data("GET", `/jobs?queue=pages&limit=10&order=${order}${cursor}`);
        seen.push(...page.items.map(({ id }: { id: string }) => id));
        await add({ queue: "pages" });
        cursor = page.next === null ? "" : `&cursor=${page.next}`;
      } while (cursor !== "");
      return seen;
    };
    expect(await walk("desc")).toEqual(ids.toReversed());
    expect((await walk("asc")).slice(0, 25)).toEqual(ids);
    expect((await data("GET", "/jobs?queue=pages&limit=0")).items).toEqual([]);
  });

  test("lists are light unless asked", async () => {
    const { add, data } = await native({ engine });
    await add({ queue: "light", data: { w: 1 } });
    const [light] = (await data("GET", "/jobs?queue=light")).items;
    expect(light).not.toHaveProperty("data");
    const [whole] = (await data("GET", "/jobs?queue=light&include=data&include=result")).items;
    expect(whole.data).toEqual({ w: 1 });
    expect(whole).not.toHaveProperty("result");
  });

  test("each condition of a search, and all together", async () => {
    const { data } = await native({ engine });
    const wanted = {
      queue: "found",
      name: "this one",
      tags: ["a", "b c"],
      project: "p&q",
      batch: "b=1",
      priority: 5,
    };
    const { outcomes } = await data("POST", "/jobs/bulk", {
      jobs: [
        wanted,
        { ...wanted, queue: "lost" },
        { ...wanted, name: "that one" },
        { ...wanted, tags: ["a"] },
        { ...wanted, project: "p" },
        { ...wanted, batch: "b" },
        { ...wanted, priority: 6 },
        { ...wanted, delayMs: 60_000 },
      ],
    });
    const id = outcomes[0].id as string;
    const { createdAt } = await data("GET", `/jobs/${id}`);
    const later = new Date(Date.parse(createdAt) + 3_600_000).toISOString();
    const count = async (query: Record<string, string>): Promise<number> =>
      (await data("GET", `/jobs?limit=0&${String(new URLSearchParams(query))}`)).total;
    const each = {
      queue: "found",
      name: "this one",
      tag: "b c",
      project: "p&q",
      batch: "b=1",
      state: "waiting",
      priorityMax: "5",
    };
    for (const [field, value] of Object.entries(each)) {
      expect([field, await count({ [field]: value })]).toEqual([field, 7]);
    }
    expect(await count({ priorityMin: "6" })).toBe(1);
    expect(await count({ createdFrom: createdAt, createdTo: later })).toBe(8);
    expect(await count({ createdFrom: later })).toBe(0);
    expect(await count({ createdTo: "2001-02-03T04:05:06+01:00" })).toBe(0);
    const { items, total } = await data("GET", `/jobs?${String(new URLSearchParams(each))}`);
    expect([total, items.map((job: { id: string }) => job.id)]).toEqual([1, [id]]);
    expect(await data("GET", `/jobs?id=${id}&id=77777&id=no-id`)).toMatchObject({ total: 1 });
    expect(await data("GET", `/jobs?id=${id}&name=else`)).toMatchObject({ total: 0 });
    expect(await data("GET", "/jobs?queue=found&queue=lost&limit=0")).toMatchObject({ total: 8 });
    expect(await data("GET", "/jobs?state=delayed&state=failed")).toMatchObject({ total: 1 });
  });

  test("cancel, retry, promote, remove and their refusals", async () => {
    const { add, call, data } = await native({ engine });
    const id = await add({ queue: "acts", delayMs: 60_000 });
    expect(await data("POST", `/jobs/${id}/promote`)).toEqual({ id, state: "waiting" });
    expect(await call("POST", `/jobs/${id}/promote`)).toMatchObject(
      refusal(409, "INVALID_STATE", { state: "waiting" }),
    );
    expect(await call("POST", `/jobs/${id}/retry`)).toMatchObject(
      refusal(409, "JOB_NOT_RETRYABLE", { state: "waiting" }),
    );
    const reason = { reason: "burnt" };
    expect(await data("POST", `/jobs/${id}/cancel`, reason)).toEqual({ id, state: "cancelled" });
    expect(await data("GET", `/jobs/${id}`)).toMatchObject({ error: { message: "burnt" } });
    expect(await call("POST", `/jobs/${id}/cancel`)).toMatchObject(
      refusal(409, "JOB_NOT_CANCELLABLE", { state: "cancelled" }),
    );
    expect(await data("POST", `/jobs/${id}/retry`)).toEqual({ id, state: "waiting" });
    expect(await data("DELETE", `/jobs/${id}`)).toEqual({ id, state: null });
    expect(await call("DELETE", `/jobs/${id}`)).toMatchObject(
      refusal(404, "JOB_NOT_FOUND", { jobId: id }),
    );
  });

  test("a running job: not cancelled where it must not be, not removed at all", async () => {
    const { add, call, data, pull } = await native({ engine });
    const id = await add({ queue: "runs" });
    const [run] = await pull("runs");
    expect(await call("DELETE", `/jobs/${id}`)).toMatchObject(
      refusal(409, "INVALID_STATE", { state: "active" }),
    );
    const asked = { running: false };
    expect(await call("POST", `/jobs/${id}/cancel`, asked)).toMatchObject(
      refusal(409, "JOB_NOT_CANCELLABLE", { state: "active" }),
    );
    await data("POST", `/jobs/${id}/cancel`);
    const { outcomes } = await data("POST", "/work/ack", { items: [{ id, lease: run?.lease }] });
    expect(outcomes).toMatchObject([{ error: { code: "STALE_LEASE" } }]);
    expect(await data("GET", `/jobs/${id}`)).toMatchObject({ state: "cancelled" });
  });

  test("an ended job again, with changes", async () => {
    const { add, call, data } = await native({ engine });
    const id = await add({ queue: "again", data: { a: 1 }, name: "n", tags: ["t"], priority: 2 });
    expect(await call("POST", `/jobs/${id}/requeue`)).toMatchObject(refusal(409, "INVALID_STATE"));
    await data("POST", `/jobs/${id}/cancel`);
    const same = await data("POST", `/jobs/${id}/requeue`);
    expect(await data("GET", `/jobs/${same.id}`)).toMatchObject({
      state: "waiting",
      data: { a: 1 },
      name: "n",
      tags: ["t"],
      priority: 2,
    });
    const changes = { data: { a: 2 }, priority: -1, remove: true };
    const changed = await data("POST", `/jobs/${id}/requeue`, changes);
    expect(await data("GET", `/jobs/${changed.id}`)).toMatchObject({
      data: { a: 2 },
      name: "n",
      priority: -1,
    });
    expect((await call("GET", `/jobs/${id}`)).status).toBe(404);
    await data("POST", `/jobs/${same.id}/cancel`);
    expect(await call("POST", `/jobs/${same.id}/requeue`, { priority: "high" })).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "priority" }] }),
    );
  });

  test("who waits for whom, and what is gone", async () => {
    const { data } = await native({ engine });
    const { outcomes } = await data("POST", "/jobs/bulk", {
      jobs: [
        { queue: "graph" },
        { queue: "graph" },
        { queue: "graph", dependsOn: [{ sibling: 0 }, { sibling: 1 }] },
        { queue: "graph", dependsOn: [{ sibling: 2 }] },
      ],
    });
    const [a, b, c, d] = outcomes.map(({ id }: { id: string }) => id) as string[];
    expect(await data("GET", `/jobs/${c}/dependencies`)).toMatchObject({
      dependsOn: [{ id: a }, { id: b }],
      dependents: [{ id: d, state: "blocked" }],
      gone: [],
      totalDependents: 1,
    });
    expect(await data("GET", `/jobs/${a}/dependencies`)).toMatchObject({
      dependsOn: [],
      dependents: [{ id: c }],
    });
    await data("DELETE", `/jobs/${b}`);
    expect(await data("GET", `/jobs/${c}/dependencies`)).toMatchObject({
      dependsOn: [{ id: a }],
      gone: [b],
    });
  });

  test("a payload of more than 1 MB is told by where it lies", async () => {
    const { url, data, pull } = await native({ engine, env: { MAX_BATCH_BYTES: "8 MB" } });
    const texts = Array.from({ length: 200 }, (_, n) => `${n} ${"x".repeat(9000)}`);
    const queue = "sentiment_analysis_batch";
    const { id } = await data("POST", "/jobs", { queue, data: { texts } });
    const job = await data("GET", `/jobs/${id}`);
    const bytes = JSON.stringify({ texts }).length;
    const href = `/api/native/jobs/${id}/data`;
    expect(job).toMatchObject({ dataFile: { href, bytes } });
    expect(job).not.toHaveProperty("data");
    expect(await (await fetch(new URL(href, url))).json()).toEqual({ texts });
    const [run] = await pull(queue);
    expect(run).toMatchObject({ dataFile: { href, bytes } });
    const result = { echo: texts };
    await data("POST", "/work/ack", { items: [{ id, lease: run?.lease, result }] });
    const done = await data("GET", `/jobs/${id}?include=result`);
    expect(done).not.toHaveProperty("dataFile");
    expect(await (await fetch(new URL(done.resultFile.href, url))).json()).toEqual(result);
  });

  test("a result is there once the job has completed", async () => {
    const { add, call, data, pull } = await native({ engine });
    const id = await add({ queue: "results" });
    expect(await call("GET", `/jobs/${id}/result`)).toMatchObject(
      refusal(409, "INVALID_STATE", { state: "waiting" }),
    );
    const [run] = await pull("results");
    await data("POST", "/work/ack", { items: [{ id, lease: run?.lease, result: [1, "two"] }] });
    expect((await call("GET", `/jobs/${id}/result`)).body).toEqual([1, "two"]);
    expect(await data("GET", `/jobs/${id}`)).toMatchObject({ result: [1, "two"], progress: 100 });
  });
});
