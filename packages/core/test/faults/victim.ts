/**
 * A process that is going to be killed: adds and runs jobs as fast as is useful, and says on a line of its own what it
 * was told is done. `finish`: adds nothing, runs everything that is left, and closes.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { defineHandler, defineJobType, JobQueue, type NewJob, Worker } from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { z } from "zod";
import { randomFrom } from "./random.ts";

/** What the lines say; ids unless noted. */
export type Line =
  /** ms since its program began. */
  | readonly ["ready", number]
  | readonly ["added", readonly (readonly [label: string, id: number])[]]
  | readonly ["started" | "completed" | "cancelled", readonly number[]]
  | readonly ["finished", Readonly<Record<string, number>>]
  | readonly ["wrong", string];

function say(...line: Line): void {
  // Synchronous on a pipe: what was said is known even if this process dies at once.
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

const began = performance.now();
const [folder = "", name = "", seed = "1", mode = "load"] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const upTo = (n: number): number => Math.floor(random() * (n + 1));
const finishing = mode === "finish";
/** Of pulled runs; short, so that those of the dead come back while the test looks on. */
const leaseMs = 1500;

const adapter = new SqliteAdapter({ path: join(folder, "jobyard.db") });
const onError = (error: unknown, doing: string): void => say("wrong", `${doing}: ${String(error)}`);
const queue = new JobQueue({ adapter, payloadFolder: join(folder, "payloads"), leaseMs, onError });
await queue.open();
const ours = queue.of("default");

let labels = 0;
const newJob = (of: string): NewJob => {
  const label = `${name}-${++labels}`;
  return {
    queue: of,
    data: { label },
    name: label,
    maxAttempts: 1 + upTo(2),
    backoffMs: 1,
    priority: upTo(2) - 1,
  };
};
const queues = ["work", "direct", "pulled"];

async function addMany(size: number): Promise<void> {
  const jobs = Array.from({ length: size }, () => newJob(queues[upTo(2)] ?? "work"));
  const ids = await ours.addMany(jobs, { atomic: true });
  say(
    "added",
    jobs.map((job, i) => [String(job.name), Number(ids[i])] as const),
  );
  if (upTo(9) === 0) {
    // Cancelled while it waits, unless somebody was faster.
    const id = Number(ids[0]);
    await ours.cancel(id, { running: false }).then(
      () => say("cancelled", [id]),
      () => undefined,
    );
  }
}

async function addOne(): Promise<void> {
  const job = newJob(queues[upTo(2)] ?? "work");
  say("added", [[String(job.name), await ours.add(job)]]);
}

async function forever(step: () => Promise<void>, pauseMs: number): Promise<never> {
  for (;;) {
    await step();
    await sleep(upTo(pauseMs));
  }
}

async function runDirect(): Promise<void> {
  const limit = finishing ? 500 : 1 + upTo(15);
  const jobs = await adapter.claim({
    tenant: "*",
    queues: [{ queue: "direct", limit }],
    limit,
    worker: name,
    leaseMs,
    inProcess: true,
    timeoutFrom: "start",
    waitMs: finishing ? 20 : 1000,
  });
  if (jobs.length === 0) return;
  say(
    "started",
    jobs.map(({ id }) => id),
  );
  if (!finishing) await sleep(upTo(8));
  const runs = jobs.map(({ id, lease }) => ({ id, lease, result: '"done"' }));
  await adapter.complete({ tenant: "*", runs });
  say(
    "completed",
    jobs.map(({ id }) => id),
  );
}

async function runPulled(): Promise<void> {
  const limit = finishing ? 500 : 1 + upTo(15);
  const jobs = await ours.pull({
    queue: "pulled",
    limit,
    waitMs: finishing ? 20 : 1000,
    worker: `puller-${name}`,
  });
  if (jobs.length === 0) return;
  say(
    "started",
    jobs.map(({ id }) => id),
  );
  const acknowledged = jobs.filter(() => finishing || upTo(9) > 0);
  if (!finishing) await sleep(upTo(8));
  if (acknowledged.length === 0) return;
  const acks = acknowledged.map(({ id, lease }) => ({ id, lease, result: { by: name } }));
  const outcomes = await ours.ack(acks);
  // On a machine that stood still, a lease may have ended meanwhile.
  const ended = acks.filter((_, i) => outcomes[i] === true);
  say(
    "completed",
    ended.map(({ id }) => id),
  );
}

const type = defineJobType({
  name: "work",
  title: "Work",
  data: z.looseObject({ label: z.string() }),
  result: z.looseObject({}),
  defaults: { attempts: 3, backoffMs: 1, timeoutMs: 60_000 },
});

const handler = defineHandler(type, async ({ job, progress, log }) => {
  say("started", [job.id]);
  if (!finishing) await sleep(upTo(8));
  progress({ progress: 50 });
  if (upTo(9) === 0) log("half of it");
  if (!finishing && upTo(4) === 0) throw new Error("on purpose");
  return {};
});

const worker = new Worker({ queue, handlers: [handler], concurrency: 8, id: `worker-${name}` });

// The first claim that is answered with a job is what being ready means.
await ours.add({ queue: "probe", data: 1 });
if ((await ours.pull({ queue: "probe", limit: 1 })).length === 0) say("wrong", "nothing to claim");
say("ready", performance.now() - began);

worker.start();
const consumers = [forever(runDirect, 1), forever(runDirect, 3), forever(runPulled, 1)];
if (finishing) {
  for (;;) {
    const { waiting, delayed, active } = await ours.count({ queues });
    if (waiting + delayed + active === 0) break;
    await Promise.race([sleep(50), ...consumers]);
  }
  say("finished", { ...(await ours.count({ queues })) });
  await worker.drain(1000);
  await queue.close();
  process.exit(0);
}
await Promise.all([
  ...consumers,
  ...[1, 2, 3].map(() => forever(addOne, 4)),
  forever(() => addMany(1 + upTo(20)), 15),
]);
