/**
 * TCP and gRPC: a server process and a client process, against the same work in one process, raw BullMQ, beanstalkd in memory
 * and bare grpc-js. Rounds take turns; figures are medians.
 *
 *   pnpm bench --wire [--rounds 5]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureSystemTools } from "../scripts/system-tools.ts";
import { median } from "./measure.ts";
import { freePort, run, startRedis } from "./processes.ts";
import type { Addresses } from "./wire-server.ts";

/**
 * Batches of 1,000 and of 100, and single commands, under way at once on the one connection, and in what they are held
 * against: enough that neither client nor server waits for the other.
 */
const LANES = "8";
const SMALL_LANES = "16";
const IN_FLIGHT = "256";

const samples = new Map<string, number[]>();
const at = (name: string): number => median(samples.get(name) ?? []);

async function measure(name: string, program: string, args: readonly string[]): Promise<void> {
  const { lifecycle } = await run(program, args);
  if (lifecycle === undefined) throw new Error(`${program} told no rate`);
  samples.set(name, [...(samples.get(name) ?? []), lifecycle]);
}

/** Whether every ratio is reached. */
export async function benchWire(rounds: number): Promise<boolean> {
  ensureSystemTools("redis-server", "beanstalkd");
  const folder = mkdtempSync(join(tmpdir(), "jobyard-wire-"));
  const redisPort = await freePort();
  const beanstalkPort = await freePort();
  const redis = await startRedis(folder, redisPort);
  const beanstalkd = spawn("beanstalkd", ["-l", "127.0.0.1", "-p", String(beanstalkPort)], {
    stdio: "inherit",
  });
  try {
    for (let round = 1; round <= rounds; round++) {
      process.stderr.write(`round ${round} of ${rounds}          \r`);
      await oneRound(folder, String(redisPort), String(beanstalkPort));
    }
  } finally {
    await Promise.all([stop(redis), stop(beanstalkd)]);
    rmSync(folder, { recursive: true, force: true });
  }
  return report();
}

async function oneRound(folder: string, redis: string, beanstalk: string): Promise<void> {
  const inProcess = (engine: string): string[] => [
    engine,
    engine === "redis" ? redis : mkdtempSync(join(folder, "store-")),
  ];
  const over = async (
    engine: string,
    name: string,
    ...scenario: readonly string[]
  ): Promise<void> => {
    const [kind = "", place = ""] = inProcess(engine);
    const server = await startServer(kind, place);
    const { tcp, grpc } = server.addresses;
    const [what = "", ...args] = scenario;
    await measure(name, "wire-client.ts", [what, what.startsWith("grpc") ? grpc : tcp, ...args]);
    await stop(server.process);
  };

  for (const engine of ["embedded", "redis"]) {
    await measure(`${engine} batches`, "wire-in-process.ts", [
      ...inProcess(engine),
      "batches",
      "1000",
      LANES,
    ]);
    await over(engine, `${engine} TCP batches`, "tcp-batches", "1000", LANES);
  }
  await measure("bullmq", "bullmq.ts", ["slots-100", redis]);
  await measure("singles", "wire-in-process.ts", [...inProcess("embedded"), "singles", IN_FLIGHT]);
  await over("embedded", "TCP singles", "tcp-singles", IN_FLIGHT);
  for (const count of [SMALL_LANES, "1"]) {
    await over("embedded", `TCP hundreds, ${count}`, "tcp-batches", "100", count);
    await measure(`beanstalkd, ${count}`, "wire-client.ts", [
      "beanstalkd",
      beanstalk,
      "100",
      count,
    ]);
  }
  for (const scenario of ["grpc-push", "grpc-process"]) {
    await over("echo", `echo ${scenario}`, scenario);
    await over("embedded", scenario, scenario);
  }
}

async function startServer(
  engine: string,
  place: string,
): Promise<{ readonly process: ChildProcess; readonly addresses: Addresses }> {
  const file = new URL("wire-server.ts", import.meta.url).pathname;
  const server = spawn(process.execPath, ["--conditions=@jobyard/source", file, engine, place], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of server.stdout.setEncoding("utf8")) {
    server.stdout.resume();
    return { process: server, addresses: JSON.parse(String(line)) as Addresses };
  }
  throw new Error("The server does not start");
}

async function stop(child: ChildProcess): Promise<void> {
  const gone = once(child, "close");
  child.kill("SIGKILL");
  await gone;
}

function report(): boolean {
  const rows = [
    [
      "TCP batches of 1,000, of the rate in process",
      "embedded TCP batches",
      "embedded batches",
      0.6,
    ],
    ["TCP batches of 1,000, of raw BullMQ", "embedded TCP batches", "bullmq", 5],
    [`TCP singles, ${IN_FLIGHT} in flight, of the rate in process`, "TCP singles", "singles", 0.3],
    [`TCP singles, ${IN_FLIGHT} in flight, of raw BullMQ`, "TCP singles", "bullmq", 2.5],
    [
      `TCP batches of 100, ${SMALL_LANES} under way, of beanstalkd's in memory`,
      `TCP hundreds, ${SMALL_LANES}`,
      `beanstalkd, ${SMALL_LANES}`,
      2,
    ],
    // One waits for each sync where the other has none: told, not judged.
    ["TCP batches of 100, one under way", "TCP hundreds, 1", "beanstalkd, 1", 0],
    ["gRPC Push, of a bare echo", "grpc-push", "echo grpc-push", 0.5],
    ["gRPC ProcessJobs, of a bare echo", "grpc-process", "echo grpc-process", 0.5],
    [
      "Redis: TCP batches of 1,000, of the rate in process",
      "redis TCP batches",
      "redis batches",
      0.8,
    ],
  ] as const;
  const whole = (value: number): string => Math.round(value).toLocaleString("en");
  const width = Math.max(...rows.map(([what]) => what.length));
  let all = true;
  for (const [what, own, yardstick, wanted] of rows) {
    const times = at(own) / at(yardstick);
    all &&= times >= wanted;
    const verdict = wanted === 0 ? "" : times >= wanted ? "ok" : "MISS";
    console.log(
      `${verdict.padEnd(4)} ${what.padEnd(width)}  ${times.toFixed(2)}x ` +
        `(${whole(at(own))}/s against ${whole(at(yardstick))}/s)` +
        (wanted === 0 ? "" : `  >= ${wanted}x`),
    );
  }
  return all;
}
