import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { queueOn } from "./queue-on.ts";
import { type Answer, lines } from "./line-client.ts";

const push = (queue: string, data: unknown, more: object = {}): object => ({
  cmd: "PUSH",
  queue,
  data,
  ...more,
});

describe.each(engines)("on the %s engine", (engine) => {
  const start = async () => {
    const queue = await queueOn(engine);
    const server = await lines(queue);
    return { queue, ...server, one: await server.client() };
  };

  test("a job's way from PUSH to its result", async () => {
    const { one } = await start();
    const before = Date.now() - 1000;
    const pushed = await one.ask(
      push("letters", { to: "Ünal" }, { priority: 3, timeout: 60_000, tags: ["a"], lifo: null }),
    );
    expect(pushed).toEqual({ ok: true, id: expect.any(Number) });
    const { id } = pushed;
    expect(await one.ask({ cmd: "GETSTATE", id })).toEqual({ ok: true, id, state: "waiting" });

    const pulled = await one.ask({ cmd: "PULL", queue: "letters" });
    const { created_at, run_at, started_at, lease, ...rest } = pulled.job;
    expect(rest).toEqual({
      id,
      queue: "letters",
      data: { to: "Ünal" },
      priority: 3,
      attempts: 1,
      max_attempts: 1,
      backoff: 1000,
      ttl: 0,
      timeout: 60_000,
      depends_on: [],
      progress: 0,
      tags: ["a"],
      lifo: false,
    });
    for (const time of [created_at, run_at, started_at]) expect(time).toBeGreaterThan(before);
    expect(lease).toEqual(expect.any(String));

    const halfway = { cmd: "PROGRESS", id, progress: 40.7, message: "Stamped" };
    expect(await one.ask(halfway)).toEqual({ ok: true });
    expect(await one.ask({ cmd: "GETPROGRESS", id })).toEqual({
      ok: true,
      progress: { id, progress: 40, message: "Stamped" },
    });
    const active = await one.ask({ cmd: "GETJOB", id });
    expect(active).toMatchObject({
      ok: true,
      state: "active",
      job: { id, progress_msg: "Stamped" },
    });

    const stale = { cmd: "ACK", id, lease: "not-mine", result: 1 };
    expect(await one.ask(stale)).toEqual({ ok: false, error: expect.any(String) });
    expect(await one.ask({ cmd: "ACK", id, lease, result: { sent: [1, null] } })).toEqual({
      ok: true,
    });
    expect(await one.ask({ cmd: "GETRESULT", id })).toEqual({
      ok: true,
      id,
      result: { sent: [1, null] },
    });
    expect(await one.ask({ cmd: "GETSTATE", id: String(id) })).toMatchObject({
      state: "completed",
    });
    expect(await one.ask({ cmd: "ACK", id })).toMatchObject({ ok: false });
  });

  test("batches: PUSHB, PULLB and ACKB", async () => {
    const { one } = await start();
    const jobs = [{ data: 1 }, { data: 2, priority: 9 }, { data: [3], max_attempts: null }];
    const { ok, ids } = await one.ask({ cmd: "PUSHB", queue: "many", jobs });
    expect([ok, ids.length]).toEqual([true, 3]);
    const pulled = await one.ask({ cmd: "PULLB", queue: "many", count: 50 });
    expect(pulled.jobs.map((job: Answer) => job.data)).toEqual([2, 1, [3]]);
    expect(await one.ask({ cmd: "ACKB", ids: [...ids, 2 ** 52, "x"] })).toEqual({
      ok: true,
      ids: [3],
    });
    expect(await one.ask({ cmd: "ACKB", ids })).toEqual({ ok: true, ids: [0] });
  });

  test("a PUSHB with an invalid or duplicate job queues none of them and names its place", async () => {
    const { one } = await start();
    const invalid = [{ data: 1 }, { data: 2 }, { data: 3, delay: -1 }];
    expect(await one.ask({ cmd: "PUSHB", queue: "whole", jobs: invalid })).toEqual({
      ok: false,
      error: expect.stringMatching(/^jobs\[2\]\.delay: /),
    });
    const { id } = await one.ask(push("whole", 0, { unique_key: "k" }));
    const duplicate = [{ data: 1 }, { data: 2, unique_key: "k" }];
    expect(await one.ask({ cmd: "PUSHB", queue: "whole", jobs: duplicate })).toEqual({
      ok: false,
      error: "Duplicate job (jobs[1])",
      existing_id: id,
    });
    expect(await one.ask({ cmd: "STATS" })).toEqual({
      ok: true,
      queued: 1,
      processing: 0,
      delayed: 0,
      dlq: 0,
    });
  });

  test("FAIL, the dead-letter queue, and back", async () => {
    const { one } = await start();
    const [first, second] = (await one.askAll([push("risky", 1), push("risky", 2)])).map(
      ({ id }) => id as number,
    );
    await one.ask({ cmd: "PULLB", queue: "risky", count: 2 });
    expect(await one.ask({ cmd: "FAIL", id: first, error: "No luck" })).toEqual({ ok: true });
    expect(await one.ask({ cmd: "FAIL", id: second })).toEqual({ ok: true });
    const dead = await one.ask({ cmd: "DLQ", queue: "risky" });
    expect(dead.jobs).toMatchObject([
      { id: first, error: "No luck", attempts: 1 },
      { id: second, error: "failed" },
    ]);
    expect((await one.ask({ cmd: "DLQ", queue: "risky", count: 1 })).jobs).toHaveLength(1);
    const retry = { cmd: "RETRYDLQ", queue: "risky" };
    expect(await one.ask({ ...retry, queue: "other", id: first })).toEqual({ ok: true, ids: [0] });
    expect(await one.ask({ ...retry, id: first })).toEqual({ ok: true, ids: [1] });
    expect(await one.ask({ ...retry, id: first })).toEqual({ ok: true, ids: [0] });
    expect(await one.ask(retry)).toEqual({ ok: true, ids: [1] });
    expect(await one.ask({ cmd: "DLQ", queue: "risky" })).toEqual({ ok: true, jobs: [] });
    expect(await one.ask({ cmd: "GETSTATE", id: second })).toMatchObject({ state: "waiting" });
  });

  test("CANCEL takes what is not running", async () => {
    const { one } = await start();
    const { id } = await one.ask(push("off", 1, { delay: 60_000 }));
    expect(await one.ask({ cmd: "GETSTATE", id })).toMatchObject({ state: "delayed" });
    expect(await one.ask({ cmd: "CANCEL", id })).toEqual({ ok: true });
    const { job, state } = await one.ask({ cmd: "GETJOB", id });
    expect([state, job.error]).toEqual(["failed", "cancelled"]);
    expect(await one.ask({ cmd: "DLQ", queue: "off" })).toEqual({ ok: true, jobs: [] });
    const running = await one.ask(push("off", 2));
    await one.ask({ cmd: "PULL", queue: "off" });
    expect(await one.ask({ cmd: "CANCEL", id: running.id })).toEqual({
      ok: false,
      error: expect.stringContaining("active"),
    });
    const blocked = await one.ask(push("off", 3, { depends_on: [running.id] }));
    expect(await one.ask({ cmd: "GETSTATE", id: blocked.id })).toMatchObject({
      state: "waiting-children",
    });
  });

  test("queues: pause, limits, list", async () => {
    const { one, client } = await start();
    await one.ask(push("steady", 1));
    expect(await one.ask({ cmd: "PAUSE", queue: "steady" })).toEqual({ ok: true });
    expect(await one.ask({ cmd: "RATELIMIT", queue: "steady", limit: 50 })).toEqual({ ok: true });
    expect(await one.ask({ cmd: "SETCONCURRENCY", queue: "steady", limit: 2 })).toEqual({
      ok: true,
    });
    expect(await one.ask({ cmd: "LISTQUEUES" })).toEqual({
      ok: true,
      queues: [
        {
          name: "steady",
          pending: 1,
          processing: 0,
          dlq: 0,
          paused: true,
          rate_limit: 50,
          concurrency_limit: 2,
        },
      ],
    });
    one.send({ cmd: "PULL", queue: "steady" });
    expect(await (await client()).ask({ cmd: "STATS" })).toMatchObject({ processing: 0 });
    expect(one.silent).toBe(true);
    one.send(
      { cmd: "RATELIMITCLEAR", queue: "steady" },
      { cmd: "CLEARCONCURRENCY", queue: "steady" },
      { cmd: "RESUME", queue: "steady" },
      { cmd: "LISTQUEUES" },
    );
    expect(await one.next()).toMatchObject({ ok: true, job: { data: 1 } });
    for (let i = 0; i < 3; i++) expect(await one.next()).toEqual({ ok: true });
    expect((await one.next()).queues).toMatchObject([
      { paused: false, rate_limit: null, concurrency_limit: null },
    ]);
  });

  test("crons", async () => {
    const { one } = await start();
    const cron = { cmd: "CRON", name: "sweep", queue: "floor", data: { room: 4 } };
    expect(await one.ask({ ...cron, schedule: "0 15 4 * * 1-5", priority: 2 })).toEqual({
      ok: true,
    });
    expect(await one.ask({ ...cron, name: "tick", schedule: "*/30", timezone: null })).toEqual({
      ok: true,
    });
    const { crons } = await one.ask({ cmd: "CRONLIST" });
    expect(crons).toEqual([
      {
        name: "sweep",
        queue: "floor",
        data: { room: 4 },
        schedule: "0 15 4 * * 1-5",
        priority: 2,
        next_run: expect.any(Number),
      },
      expect.objectContaining({ name: "tick", schedule: "*/30", priority: 0 }),
    ]);
    expect(crons[1].next_run % 30_000).toBe(0);
    expect(await one.ask({ cmd: "CRONDELETE", name: "sweep" })).toEqual({ ok: true });
    expect(await one.ask({ cmd: "CRONDELETE", name: "sweep" })).toEqual({
      ok: false,
      error: "Schedule sweep not found",
    });
    expect((await one.ask({ cmd: "CRONLIST" })).crons).toHaveLength(1);
  });

  test("figures and workers", async () => {
    const { one, queue } = await start();
    await one.askAll([push("count", 1), push("count", 2), push("count", 3)]);
    const { job } = await one.ask({ cmd: "PULL", queue: "count", worker: "w-1" });
    await one.ask({ cmd: "ACK", id: job.id });
    expect(await one.ask({ cmd: "METRICS" })).toEqual({
      ok: true,
      metrics: {
        total_pushed: 3,
        total_completed: 1,
        total_failed: 0,
        jobs_per_second: expect.any(Number),
        avg_latency_ms: expect.any(Number),
        queues: [{ name: "count", pending: 2, processing: 0, dlq: 0 }],
      },
    });
    const beat = { cmd: "HEARTBEAT", worker: "w-1", queues: ["count"], concurrency: 4 };
    expect(await one.ask(beat)).toEqual({ ok: true });
    expect(await queue.of("default").workers()).toMatchObject([{ id: "w-1", concurrency: 4 }]);
  });

  test("what is asked of one connection at once is carried out and answered in its order", async () => {
    const { one } = await start();
    const { id } = await one.ask(push("order", 0, { unique_key: "u" }));
    await one.ask({ cmd: "PULL", queue: "order" });
    const answers = await one.askAll([
      { cmd: "GETSTATE", id },
      push("order", 1, { unique_key: "u" }),
      { cmd: "ACK", id },
      { cmd: "GETSTATE", id },
      push("order", 2, { unique_key: "u" }),
      { cmd: "GETRESULT", id: 987_654_321 },
      { cmd: "PULL", queue: "order" },
      { cmd: "STATS" },
      { cmd: "PAUSE", queue: "order" },
      push("order", 3),
      { cmd: "LISTQUEUES" },
    ]);
    expect(answers).toMatchObject([
      { state: "active" },
      { ok: false, error: "Duplicate job" },
      { ok: true },
      { state: "completed" },
      { ok: true },
      { ok: false, error: "Job 987654321 not found" },
      { ok: true, job: { data: 2 } },
      { queued: 0, processing: 1 },
      { ok: true },
      { ok: true },
      { queues: [{ pending: 1, processing: 1, paused: true }] },
    ]);
  });

  test("a command behind a waiting PULL is carried out at once, only its answer waits", async () => {
    const { one, client } = await start();
    const other = await client();
    one.send(
      { cmd: "PULL", queue: "later" },
      push("now", "done behind"),
      { cmd: "GETSTATE", id: 1 },
      { cmd: "PULL", queue: "now" },
    );
    // It is there although nobody was answered.
    let stats: Answer;
    do stats = await other.ask({ cmd: "STATS" });
    while (stats.processing !== 1);
    expect(one.silent).toBe(true);
    await other.ask(push("later", "fed"));
    expect(await one.next()).toMatchObject({ job: { data: "fed" } });
    expect(await one.next()).toMatchObject({ ok: true });
    expect(await one.next()).toMatchObject({ state: expect.any(String) });
    expect(await one.next()).toMatchObject({ job: { data: "done behind" } });
  });

  test("waiting pulls are served in their order, in whatever portions jobs come", async () => {
    const { one, client } = await start();
    const other = await client();
    const pull = { cmd: "PULL", queue: "drip" };
    one.send(...Array.from({ length: 4 }, () => pull));
    // Apart from those before.
    expect(await other.ask({ cmd: "STATS" })).toMatchObject({ ok: true });
    one.send({ ...pull, cmd: "PULLB", count: 3 }, pull, pull);
    const got: Answer[] = [];
    const portions = [1, 2, 1, 1, 1, 1];
    let pushed = 0;
    for (const portion of portions) {
      const jobs = Array.from({ length: portion }, () => ({ data: pushed++ }));
      await other.ask({ cmd: "PUSHB", queue: "drip", jobs });
      // No job of the portion is held back behind a pull that waits.
      let taken = 0;
      while (taken < portion) {
        const { job, jobs: list } = await one.next();
        for (const { data } of list ?? [job]) got.push(data);
        taken += list?.length ?? 1;
      }
    }
    expect(got).toEqual(Array.from({ length: pushed }, (_, i) => i));
  });

  test("5,000 commands in flight on one connection are served", async () => {
    const { one, client } = await start();
    const other = await client();
    const pulls = Array.from({ length: 2500 }, () => ({ cmd: "PULL", queue: "flood" }));
    const pushes = Array.from({ length: 2500 }, (_, i) => push("flood", i));
    const answers = await one.askAll([...pulls, ...pushes]);
    const data = answers.slice(0, 2500).map(({ job }) => job.data as number);
    expect(data.sort((a, b) => a - b)).toEqual(Array.from({ length: 2500 }, (_, i) => i));
    expect(answers.slice(2500).every(({ ok, id }) => ok === true && id > 0)).toBe(true);
    const acks = answers.slice(0, 2500).map(({ job }) => ({ cmd: "ACK", id: job.id, result: 1 }));
    expect((await one.askAll(acks)).every(({ ok }) => ok === true)).toBe(true);
    expect(await other.ask({ cmd: "STATS" })).toMatchObject({ queued: 0, processing: 0 });
  });

  test.each(["reset", "ended"])(
    "a waiting PULL whose connection is %s claims nothing",
    async (how) => {
      const { one, client } = await start();
      const other = await client();
      one.send({ cmd: "PULL", queue: "ghost" }, { cmd: "PULLB", queue: "ghost", count: 5 });
      one.send(push("sign", 1));
      let stats: Answer;
      do stats = await other.ask({ cmd: "STATS" });
      while (stats.queued !== 1);
      if (how === "reset") one.socket.resetAndDestroy();
      else one.socket.end();
      await one.closed;
      await other.ask({ cmd: "PUSHB", queue: "ghost", jobs: [{ data: 1 }, { data: 2 }] });
      // A reset that the server hears of only now takes a moment longer.
      do stats = await other.ask({ cmd: "STATS" });
      while (stats.processing !== 0);
      expect(stats.queued).toBe(3);
      const { jobs } = await other.ask({ cmd: "PULLB", queue: "ghost", count: 5 });
      expect(jobs).toHaveLength(2);
    },
  );

  test("a job that was pulled outlives its connection, and is ended over another", async () => {
    const { one, client } = await start();
    const jobs = [{ data: 1 }, { data: 2 }, { data: 3 }];
    await one.ask({ cmd: "PUSHB", queue: "shared", jobs });
    const pulled = await one.ask({ cmd: "PULLB", queue: "shared", count: 3 });
    const [first, second, third] = pulled.jobs;
    one.socket.destroy();
    await one.closed;
    const other = await client();
    expect(await other.ask({ cmd: "PROGRESS", id: first.id, progress: 9 })).toEqual({ ok: true });
    expect(await other.ask({ cmd: "ACK", id: first.id, lease: "not-mine" })).toEqual({
      ok: false,
      error: expect.any(String),
    });
    expect(await other.ask({ cmd: "ACK", id: first.id, lease: first.lease })).toEqual({ ok: true });
    expect(await other.ask({ cmd: "FAIL", id: second.id, error: "Gone" })).toEqual({ ok: true });
    expect(await other.ask({ cmd: "ACKB", ids: [first.id, third.id] })).toEqual({
      ok: true,
      ids: [1],
    });
    expect(await other.ask({ cmd: "STATS" })).toEqual({
      ok: true,
      queued: 0,
      processing: 0,
      delayed: 0,
      dlq: 1,
    });
  });

  test("who ends its side is answered first", async () => {
    const { one } = await start();
    await one.ask(push("last", 5));
    one.send({ cmd: "PULL", queue: "last" }, push("last", 6), { cmd: "PULL", queue: "none" });
    one.send({ cmd: "STATS" });
    one.socket.end();
    expect(await one.closed).toMatchObject([
      { ok: true, job: { data: 5 } },
      { ok: true, id: expect.any(Number) },
      { ok: false, error: "The connection was closed" },
      { ok: true, queued: 1, processing: 1 },
    ]);
  });
});
