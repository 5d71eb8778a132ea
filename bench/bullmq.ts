/** One round of raw BullMQ: the yardstick. Usage: node bullmq.ts <scenario> <redis port> */
import { Queue, Worker } from "bullmq";
import { expectEqual, median, payload, perSecond, report, usedMemory } from "./measure.ts";

const [scenario, port] = process.argv.slice(2);
const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };
const queue = new Queue(`bench-${process.pid}`, { connection });

async function addAll(jobs: number): Promise<void> {
  for (let i = 0; i < jobs; i += 1000) {
    await queue.addBulk(Array.from({ length: 1000 }, () => ({ name: "job", data: payload })));
  }
}

async function drain(jobs: number, slots: number): Promise<void> {
  let done = 0;
  await new Promise<void>((resolve) => {
    const worker = new Worker(queue.name, async () => ({ ok: true }), {
      connection,
      concurrency: slots,
    });
    worker.on("completed", () => {
      if (++done === jobs) void worker.close().then(resolve);
    });
  });
}

async function lifecycle(slots: number): Promise<void> {
  const jobs = 20_000;
  await addAll(2000);
  await drain(2000, slots);
  const start = performance.now();
  await addAll(jobs);
  const added = performance.now();
  await drain(jobs, slots);
  const drained = performance.now();
  expectEqual(await queue.getCompletedCount(), jobs + 2000, "completed jobs");
  report({
    lifecycle: perSecond(jobs, drained - start),
    add: perSecond(jobs, added - start),
    drain: perSecond(jobs, drained - added),
  });
}

/** Pulled and acknowledged as a server without a Worker would: `size` calls sent together. */
async function pullAll(jobs: number, size: number): Promise<void> {
  const worker = new Worker(queue.name, null, { connection, autorun: false });
  await worker.waitUntilReady();
  for (let done = 0; done < jobs; done += size) {
    const token = `pull-${done}`;
    const claimed = await Promise.all(
      Array.from({ length: size }, () => worker.getNextJob(token, { block: false })),
    );
    await Promise.all(claimed.map((job) => job?.moveToCompleted({ ok: true }, token, false)));
  }
  await worker.close();
}

async function pull(size: number): Promise<void> {
  const jobs = 20_000;
  await addAll(2000);
  await pullAll(2000, size);
  await addAll(jobs);
  const start = performance.now();
  await pullAll(jobs, size);
  const end = performance.now();
  expectEqual(await queue.getCompletedCount(), jobs + 2000, "completed jobs");
  report({ pull: perSecond(jobs, end - start) });
}

async function memory(): Promise<void> {
  await addAll(1000);
  const before = usedMemory(port);
  await addAll(100_000);
  report({ bytes: (usedMemory(port) - before) / 100_000 });
}

async function latency(): Promise<void> {
  const times: number[] = [];
  let added = 0;
  let started = (): void => undefined;
  const worker = new Worker(
    queue.name,
    async () => {
      times.push(performance.now() - added);
      started();
    },
    { connection, concurrency: 100 },
  );
  await worker.waitUntilReady();
  for (let i = 0; i < 300; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const start = new Promise<void>((resolve) => (started = resolve));
    added = performance.now();
    await queue.add("job", payload);
    await start;
  }
  await worker.close();
  report({ latencyMs: median(times.slice(50)) });
}

const scenarios: Readonly<Record<string, () => Promise<void>>> = {
  "slots-100": () => lifecycle(100),
  "slots-50": () => lifecycle(50),
  "pull-1000": () => pull(1000),
  "pull-100": () => pull(100),
  memory,
  latency,
};
const measured = scenarios[scenario ?? ""];
if (measured === undefined) throw new Error(`No scenario is called ${scenario}`);
await measured();
await queue.obliterate({ force: true });
await queue.close();
