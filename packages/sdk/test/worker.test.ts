import { describe, expect, onTestFinished, test } from "vitest";
import { serve } from "../../../apps/api/test/running-server.ts";
import { Jobyard } from "../src/index.ts";
import { JobError, type RemoteJob, Worker, type WorkerOptions } from "../src/worker.ts";

type Handler = (job: RemoteJob) => unknown;

async function setUp(over: "http" | "tcp", env: Record<string, string> = {}) {
  const { url, server } = await serve({ handlers: [], env });
  const token = env["API_TOKENS"];
  const access = token === undefined ? {} : { token };
  const client = new Jobyard({ baseURL: url, ...access });
  const errors: unknown[] = [];
  const [line] = server.tcp;
  const baseURL = over === "http" ? url : `tcp://${line?.replace(/^tcp:\/\//, "")}`;
  const work = (queue: string, handler: Handler, options: Partial<WorkerOptions> = {}) => {
    const onError = (error: unknown): void => void errors.push(error);
    const worker = new Worker(queue, handler, { baseURL, ...access, onError, ...options });
    onTestFinished(() => worker.close());
    return worker;
  };
  return { client, work, errors };
}

describe.each(["http", "tcp"] as const)("a worker over %s", (over) => {
  test("runs jobs, reports, and tells how they ended", async () => {
    const { client, work, errors } = await setUp(over, { API_TOKENS: "sifter-0123456789abcdef" });
    const queue = client.getQueue("mill");
    const opts = { maxAttempts: 3, backoffMs: 0 };
    const good = await queue.add({ data: { sacks: 4 }, opts });
    const bad = await queue.add({ data: "bad", opts: { ...opts, maxAttempts: 2 } });
    const attempts: number[] = [];
    work(
      "mill",
      (job) => {
        if (job.data === "bad") {
          attempts.push(job.attempt);
          throw new JobError("no wind", { code: "CALM" });
        }
        job.progress(40, "first stone");
        return { kg: (job.data as { sacks: number }).sacks * 25 };
      },
      { id: "miller", concurrency: 2 },
    );
    const done = await client.jobs.wait(good);
    expect(done).toMatchObject({ state: "completed", result: { kg: 100 }, worker: "miller" });
    const failed = await client.jobs.wait(bad);
    expect(failed).toMatchObject({ state: "failed", error: { message: "no wind" } });
    expect(attempts).toEqual([1, 2]);
    expect(errors).toEqual([]);
  });

  test("tells what it can run, runs and has run", async () => {
    const { client, work } = await setUp(over);
    const end = Promise.withResolvers<void>();
    const seen = async (): Promise<unknown> =>
      (await client.workers()).find(({ id }) => id === "miller");
    work(
      "mill",
      async ({ data }) => {
        if (data === "bad") throw new JobError("no wind", { final: true });
        if (data === "slow") await end.promise;
      },
      { id: "miller", concurrency: 3 },
    );
    const said = { queues: ["mill"], concurrency: 3 };
    await client.jobs.addMany("mill", [{ data: "slow" }, { data: "bad" }, {}]);
    await expect
      .poll(seen, { timeout: 20_000 })
      .toMatchObject({ ...said, active: 1, jobsProcessed: 2 });
    end.resolve();
    await expect
      .poll(seen, { timeout: 20_000 })
      .toMatchObject({ ...said, active: 0, jobsProcessed: 3 });
  });

  test("stops a job that is cancelled", async () => {
    const { client, work } = await setUp(over);
    const job = await client.jobs.add("mill", {});
    const begun = Promise.withResolvers<RemoteJob>();
    work("mill", async (run) => {
      begun.resolve(run);
      await new Promise((_, reject) => run.signal.addEventListener("abort", reject));
    });
    const { signal } = await begun.promise;
    await client.jobs.cancel(job);
    const cancelledAt = Date.now();
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    expect(Date.now() - cancelledAt).toBeLessThan(5000);
  });

  test("drains: what runs ends and is told, what waits stays", async () => {
    const { client, work, errors } = await setUp(over);
    const { outcomes } = await client.jobs.addMany("mill", [{}, {}]);
    const [running = "", waiting = ""] = outcomes.map(({ id }) => id as string);
    const begun = Promise.withResolvers<void>();
    const end = Promise.withResolvers<void>();
    const worker = work(
      "mill",
      async () => {
        begun.resolve();
        await end.promise;
      },
      { concurrency: 1 },
    );
    await begun.promise;
    const closed = worker.close();
    end.resolve();
    await closed;
    expect(await client.jobs.get(running)).toMatchObject({ state: "completed" });
    expect(await client.jobs.get(waiting)).toMatchObject({ state: "waiting" });
    expect(errors).toEqual([]);
  });

  test("runs many at once, each once", async () => {
    const { client, work } = await setUp(over);
    const count = 2000;
    const jobs = Array.from({ length: count }, (_, data) => ({ data }));
    await client.jobs.addMany("mill", jobs);
    const seen = new Map<unknown, number>();
    const all = Promise.withResolvers<void>();
    const worker = work(
      "mill",
      ({ data }) => {
        seen.set(data, (seen.get(data) ?? 0) + 1);
        if (seen.size === count) all.resolve();
      },
      { concurrency: 100 },
    );
    await all.promise;
    await worker.close();
    expect([...seen.values()].every((times) => times === 1)).toBe(true);
    const { counts } = await client.getQueue("mill").status();
    expect(counts).toMatchObject({ completed: count, waiting: 0, active: 0 });
  });
});

test("keeps leases for as long as a handler runs, over http and tcp", async () => {
  const keep = async (over: "http" | "tcp"): Promise<void> => {
    const { client, work, errors } = await setUp(over, { LEASE_MS: "4s" });
    const job = await client.jobs.add("mill", {});
    let runs = 0;
    work("mill", async () => {
      runs++;
      await new Promise((resolve) => setTimeout(resolve, 6500));
    });
    expect(await client.jobs.wait(job)).toMatchObject({ state: "completed", crashes: 0 });
    expect([runs, errors]).toEqual([1, []]);
  };
  // Side by side: it is a long wait.
  await Promise.all([keep("http"), keep("tcp")]);
});

test.each(["http", "tcp"] as const)(
  "lines of a log, and a final failure, over %s",
  async (over) => {
    const { client, work, errors } = await setUp(over);
    const job = await client.jobs.add("mill", { opts: { maxAttempts: 5, backoffMs: 0 } });
    work("mill", (run) => {
      run.log("one");
      run.log("two");
      throw new JobError("no stone", { code: "BROKEN", final: true });
    });
    expect(await client.jobs.wait(job)).toMatchObject({
      state: "failed",
      attemptsMade: 1,
      error: { message: "no stone", code: "BROKEN" },
    });
    const { items } = await client.jobs.logs(job);
    expect(items.map(({ line }) => line)).toEqual(["one", "two"]);
    expect(errors).toEqual([]);
  },
);

test("jobs are given back when they do not end in time", async () => {
  const { client, work } = await setUp("http");
  const job = await client.jobs.add("mill", {});
  const begun = Promise.withResolvers<void>();
  const worker = work(
    "mill",
    async (run) => {
      begun.resolve();
      await new Promise((_, reject) => run.signal.addEventListener("abort", reject));
    },
    { drainMs: 600 },
  );
  await begun.promise;
  await worker.close();
  expect(await client.jobs.get(job)).toMatchObject({ state: "waiting", attemptsMade: 0 });
});
