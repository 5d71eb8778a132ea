import { once } from "node:events";
import { parseJobId } from "@jobyard/core";
import { BullmqAdapter } from "@jobyard/core/bullmq";
import { expect, onTestFinished, test } from "vitest";
import { call, run, type Run, startApi, testRedis } from "../../apps/api/test/running-process.ts";
import { temporaryFolder } from "../../apps/api/test/running-server.ts";

const long = process.env["JOBYARD_LONG"] === "1";
const TURNS = long ? 12 : 1;
/** Clients that add a job, wait for its end, and add the next. */
const CLIENTS = 16;
/** That have to be served before something else is done to the workers. */
const ENOUGH = 20;

/** Some hundredths of a second of work. */
const texts = Array.from({ length: 15 }, (_, i) => `Splendid, though dear, no. ${i}. `.repeat(60));

interface Worker extends Run {
  figure(metric: string): Promise<number>;
}

test(
  "API, workers and Redis: workers come, go and are killed under load, and nothing is lost or done twice",
  async () => {
    // With an append-only file, as in compose.yaml.
    const redis = await testRedis("--maxmemory-policy", "noeviction");
    const env = {
      REDIS_URL: redis.url,
      REDIS_REQUIRE_AOF: "true",
      DATA_DIR: await temporaryFolder(),
      INLINE_WORKER: "false",
      LEASE_MS: "3s",
      DATACLOAK_JOBS_PER_MINUTE: "0",
      DATACLOAK_JOBS_PER_HOUR: "0",
      DATACLOAK_MAX_QUEUE_SIZE: "0",
      DATACLOAK_MAX_CONCURRENT: "0",
    };
    const { urls } = await startApi(env);
    const [url = ""] = urls;

    const startWorker = async (): Promise<Worker> => {
      const worker = run("apps/worker/src/main.ts", { ...env, WORKER_PORT: "0" });
      const ready = JSON.parse(await worker.line(/The worker is ready/)) as { urls: string[] };
      return {
        ...worker,
        async figure(metric) {
          const page = await (await fetch(`${ready.urls[0]}/metrics`)).text();
          const line = page.split("\n").find((it) => it.startsWith(`${metric} `));
          return Number(line?.split(" ").at(-1));
        },
      };
    };
    const active = 'jobyard_worker_active_jobs{queue="sentiment_analysis_batch"}';
    const completed =
      'jobyard_worker_runs_total{queue="sentiment_analysis_batch",ending="completed"}';
    const works = async (worker: Worker): Promise<void> => {
      await expect.poll(() => worker.figure(completed), { timeout: 60_000 }).toBeGreaterThan(0);
    };
    const stop = async (worker: Worker): Promise<void> => {
      worker.child.kill("SIGTERM");
      expect(await worker.ended).toMatchObject({ code: 0, err: "" });
    };

    const accepted: number[] = [];
    const endings: unknown[] = [];
    const over = new AbortController();
    const client = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const job = { type: "sentiment_analysis_batch", data: { texts } };
        const added = await call(url, "POST", "/api/v1/jobs", job);
        if (added.status !== 201) throw new Error(`${added.status}: ${JSON.stringify(added.body)}`);
        const { jobId } = added.body.data;
        accepted.push(parseJobId(jobId) ?? 0);
        const wait = { timeout: 120_000 };
        const ended = await call(url, "POST", `/api/v1/jobs/${jobId}/wait`, wait);
        endings.push(ended.body.data.status);
      }
    };
    const served = async (): Promise<void> => {
      const wanted = endings.length + ENOUGH;
      await expect.poll(() => endings.length, { timeout: 60_000 }).toBeGreaterThanOrEqual(wanted);
    };

    let last = await startWorker();
    const clients = Promise.all(Array.from({ length: CLIENTS }, client));
    // Looked at below; a client that fails meanwhile must not end the process.
    clients.catch(() => undefined);
    for (let turn = 0; turn < TURNS; turn++) {
      await served();
      const more = await Promise.all([startWorker(), startWorker()]);
      await Promise.all(more.map(works));
      const [killed, other] = more;
      await expect.poll(() => killed.figure(active)).toBeGreaterThan(0);
      killed.child.kill("SIGKILL");
      await once(killed.child, "exit");
      const next = await startWorker();
      await works(next);
      await Promise.all([stop(last), stop(other)]);
      last = next;
    }
    await served();
    over.abort();
    await clients;
    expect(new Set(endings)).toEqual(new Set(["completed"]));
    await stop(last);

    const adapter = new BullmqAdapter({ url: redis.url });
    await adapter.open();
    onTestFinished(() => adapter.close());
    const jobs = await adapter.get({ tenant: "default", ids: accepted });
    expect(new Set(accepted).size).toBe(accepted.length);
    expect(jobs.filter((job) => job?.state !== "completed" || job.attemptsMade !== 1)).toEqual([]);
    // Counted with each change of state: one for each job, so none has ended twice.
    const [row] = await adapter.stats({ tenant: "default" });
    expect(row).toMatchObject({ added: accepted.length, completed: accepted.length, failed: 0 });
    const counts = await adapter.count({ tenant: "default" });
    expect(counts).toMatchObject({ completed: accepted.length, waiting: 0, active: 0, failed: 0 });
    // What ran in those that were killed has run again.
    const crashed = jobs.filter((job) => (job?.crashes ?? 0) > 0);
    expect(crashed.length).toBeGreaterThanOrEqual(TURNS);
  },
  long ? 900_000 : 120_000,
);
