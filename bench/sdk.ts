/**
 * The SDK: what a call costs over a bare `fetch` of the same route, and how many no-op jobs a remote worker runs, against
 * one in the queue's own process.
 *
 *   pnpm bench --sdk [--rounds 5]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { defineHandler, defineJobType, Worker as LocalWorker } from "@jobyard/core";
import { Jobyard } from "@jobyard/sdk";
import { Worker } from "@jobyard/sdk/worker";
import { z } from "zod";
import { startApi } from "./http.ts";
import { expectEqual, median, payload, perSecond, report } from "./measure.ts";
import { run } from "./processes.ts";
import { openQueue } from "./wire-queue.ts";

const CALLS = 1500;
const WARM_UP = 500;
const JOBS = 30_000;
const SLOTS = 100;
const MOST_MS = 0.1;
const LEAST = 0.5;

type Call = () => Promise<unknown>;

async function answerOf(response: Response): Promise<unknown> {
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return response.json();
}

/** Median of one call's time beyond the other's, ms. They take turns, each first as often as the other. */
async function beyond(sdk: Call, bare: Call): Promise<number> {
  const timed = async (call: Call): Promise<number> => {
    const began = performance.now();
    await call();
    return performance.now() - began;
  };
  const times: { sdk: number[]; bare: number[] } = { sdk: [], bare: [] };
  for (let n = -WARM_UP; n < CALLS; n++) {
    const pair = [
      ["sdk", sdk],
      ["bare", bare],
    ] as const;
    for (const [name, call] of n % 2 === 0 ? pair : pair.toReversed()) {
      const ms = await timed(call);
      if (n >= 0) times[name].push(ms);
    }
  }
  return median(times.sdk) - median(times.bare);
}

async function calls(folder: string): Promise<{ get: number; add: number }> {
  const api = await startApi(folder);
  try {
    const client = new Jobyard({ baseURL: api.url });
    const { id } = await client.jobs.add("bench", { data: payload });
    const get = await beyond(
      () => client.jobs.get(id),
      async () => answerOf(await fetch(`${api.url}/api/native/jobs/${id}`)),
    );
    const body = JSON.stringify({ queue: "bench", data: payload });
    const add = await beyond(
      () => client.jobs.add("bench", { data: payload }),
      async () => {
        const headers = {
          "Content-Type": "application/json",
          "Idempotency-Key": crypto.randomUUID(),
        };
        const init = { method: "POST", headers, body };
        return answerOf(await fetch(`${api.url}/api/native/jobs`, init));
      },
    );
    return { get, add };
  } finally {
    await api.stop();
  }
}

async function remote(folder: string): Promise<number> {
  const api = await startApi(folder);
  try {
    const client = new Jobyard({ baseURL: api.url });
    for (let left = JOBS; left > 0; left -= 1000) {
      await client.jobs.addMany(
        "bench",
        Array.from({ length: 1000 }, () => ({ data: payload })),
      );
    }
    let done = 0;
    const all = Promise.withResolvers<void>();
    const began = performance.now();
    const worker = new Worker<{ bench: { data: unknown; result: { ok: boolean } } }>(
      "bench",
      () => {
        if (++done === JOBS) all.resolve();
        return { ok: true };
      },
      { baseURL: api.tcp, concurrency: SLOTS },
    );
    await all.promise;
    // Told to the server, all of them.
    await worker.close();
    const ms = performance.now() - began;
    const { counts } = await client.getQueue("bench").status();
    expectEqual(counts.completed, JOBS, "completed jobs");
    return perSecond(JOBS, ms);
  } finally {
    await api.stop();
  }
}

/** The same jobs in a queue of this very process. */
async function inProcess(folder: string): Promise<void> {
  const queue = await openQueue("embedded", folder);
  const tenant = queue.of("default");
  for (let left = JOBS; left > 0; left -= 1000) {
    const some = Array.from({ length: 1000 }, () => ({ queue: "bench", data: payload }));
    await tenant.addMany(some, { atomic: true });
  }
  const type = defineJobType({
    name: "bench",
    title: "Benchmark",
    data: z.looseObject({}),
    result: z.looseObject({}),
    defaults: { attempts: 1, backoffMs: 1000, timeoutMs: 60_000 },
  });
  let done = 0;
  const all = Promise.withResolvers<void>();
  const handler = defineHandler(type, async () => {
    if (++done === JOBS) all.resolve();
    return { ok: true };
  });
  const worker = new LocalWorker({ queue, handlers: [handler], concurrency: SLOTS });
  const began = performance.now();
  worker.start();
  await all.promise;
  // Told to the engine, all of them.
  await worker.drain(10_000);
  report({ rate: perSecond(JOBS, performance.now() - began) });
  await queue.close();
}

/** Whether all is as fast as it has to be. */
export async function benchSdk(rounds: number): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "jobyard-sdk-"));
  const store = (): string => mkdtempSync(join(folder, "store-"));
  const samples = { get: [] as number[], add: [] as number[], ratio: [] as number[] };
  const rates = { remote: [] as number[], inProcess: [] as number[] };
  try {
    for (let round = 1; round <= rounds; round++) {
      process.stderr.write(`round ${round} of ${rounds}: SDK          \r`);
      const { get, add } = await calls(store());
      samples.get.push(get);
      samples.add.push(add);
      const there = await remote(store());
      const { rate = Number.NaN } = await run("sdk.ts", [store()]);
      rates.remote.push(there);
      rates.inProcess.push(rate);
      samples.ratio.push(there / rate);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  console.log(`\nSDK: ${rounds} rounds on ${cpus().length} cores, Node ${process.version}\n`);
  const cost = (what: string, ms: number): boolean => {
    const met = ms < MOST_MS;
    console.log(
      `${met ? "ok  " : "MISS"} ${what}, beyond a bare fetch  ${ms.toFixed(3)} ms  < ${MOST_MS} ms`,
    );
    return met;
  };
  const ratio = median(samples.ratio);
  const met = [cost("jobs.get", median(samples.get)), cost("jobs.add", median(samples.add))];
  met.push(ratio >= LEAST);
  const figures = [rates.remote, rates.inProcess].map((all) =>
    Math.round(median(all)).toLocaleString("en"),
  );
  console.log(
    `${ratio >= LEAST ? "ok  " : "MISS"} no-op jobs of a remote worker over TCP, against in process  ${ratio.toFixed(2)}x (${figures[0]}/s against ${figures[1]}/s)  >= ${LEAST}x`,
  );
  return met.every(Boolean);
}

// As a program of its own: node sdk.ts <folder>
if (import.meta.main) await inProcess(process.argv[2] ?? "");
