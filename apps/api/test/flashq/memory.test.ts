import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { call, startApi } from "../running-process.ts";
import { temporaryFolder } from "../running-server.ts";
import { LineClient } from "./line-client.ts";

const MB = 1_000_000;
/** What lies about at the worst moment of such traffic, and what the allocator keeps of it for later, MB. */
const GARBAGE = 60;
/** Other buffers than those of lines, MB. */
const OTHERS = 3;

const shown = (megabytes: number): string => `${megabytes.toFixed(1)} MB`;
const tell = (figure: string): void => void process.stdout.write(`${figure}\n`);

/** A server process of its own, and what it has in memory, MB. */
async function start(env: Record<string, string> = {}) {
  const api = await startApi({
    DATA_DIR: await temporaryFolder(),
    INLINE_WORKER: "false",
    NODE_OPTIONS: `--import=${join(import.meta.dirname, "collect-on-signal.ts")}`,
    ...env,
  });
  const { tcp } = JSON.parse(await api.line(/Jobyard is ready/)) as { tcp: readonly string[] };
  const port = Number(/:(\d+)$/.exec(tcp[0] ?? "")?.[1]);
  const { pid = 0 } = api.child;
  const field = (name: string): number => {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024) / MB;
  };
  return {
    url: api.urls[0] ?? "",
    client: () => LineClient.connect({ port }),
    /** In buffers, and in all, without garbage; from now on the highest is looked for anew. */
    async held(): Promise<{ readonly buffers: number; readonly all: number }> {
      const told = (): string[] => api.lines.filter((line) => line.startsWith("held: "));
      const before = told().length;
      process.kill(pid, "SIGUSR2");
      await expect.poll(() => told().length).toBe(before + 1);
      writeFileSync(`/proc/${pid}/clear_refs`, "5");
      const [, buffers, all] = (told().at(-1) ?? "").split(" ");
      return { buffers: Number(buffers) / MB, all: Number(all) / MB };
    },
    resident: () => field("VmRSS"),
    /** The highest, garbage included. */
    peak: () => field("VmHWM"),
  };
}

const stats = { cmd: "STATS" };

/** So that what any traffic needs for good is there already, and no more. */
async function warmUp(client: () => Promise<LineClient>): Promise<void> {
  const one = await client();
  for (let i = 0; i < 200; i++) expect(await one.ask(stats)).toMatchObject({ ok: true });
  one.socket.destroy();
}

async function sent(socket: Socket, bytes: Uint8Array): Promise<void> {
  await new Promise<void>((resolve) => socket.write(bytes, () => resolve()));
}

test("1,000 idle connections take less than 50 MB", async () => {
  const { client, held, resident } = await start();
  await warmUp(client);
  await held();
  const before = resident();
  const many = await Promise.all(Array.from({ length: 1000 }, client));
  for (const answer of await Promise.all(many.map((each) => each.ask(stats)))) {
    expect(answer).toMatchObject({ ok: true });
  }
  const grown = resident() - before;
  tell(`1,000 idle TCP connections: ${shown(grown)}`);
  expect(grown).toBeLessThan(50);
});

test("a line without end costs no more than a line may, all of them together no more than 64 MB", async () => {
  const { client, held, resident, peak } = await start();
  const buffers = async (): Promise<number> => (await held()).buffers;
  await warmUp(client);
  const neighbour = await client();
  const none = await buffers();
  const begin = resident();
  const one = await client();
  // As much as is kept.
  await sent(one.socket, Buffer.alloc(15 * MB, "x"));
  await expect.poll(async () => (await buffers()) - none).toBeGreaterThanOrEqual(15);
  const kept = (await buffers()) - none;
  // And then far more: nothing of it.
  for (let i = 0; i < 19; i++) await sent(one.socket, Buffer.alloc(15 * MB, "x"));
  // But for what lies between the two, all has been read.
  const most = peak() - begin;
  await expect.poll(async () => (await buffers()) - none).toBeLessThan(OTHERS);
  tell(`a line of 15 MB without end: ${shown(kept)} of buffers; of 300 MB: at most ${shown(most)}`);
  expect(kept).toBeLessThan(16 + OTHERS);
  expect(most).toBeLessThan(16 + 2 * GARBAGE);
  one.socket.destroy();

  const many = await Promise.all(Array.from({ length: 20 }, client));
  const closed = many.map((each) => each.closed);
  const line = Buffer.alloc(15 * MB, "x");
  await Promise.all(many.map((each) => sent(each.socket, line)));
  const told = await Promise.race(closed);
  expect(told).toMatchObject([{ ok: false, error: "Payload too large: a line has no end" }]);
  expect(await neighbour.ask(stats)).toMatchObject({ ok: true });
  const all = peak() - begin;
  const left = (await buffers()) - none;
  tell(`20 lines of 15 MB without end: ${shown(left)} of buffers, at most ${shown(all)}`);
  expect(left).toBeLessThan(64 + OTHERS);
  // Of 300 MB.
  expect(all).toBeLessThan(64 + 3 * GARBAGE);
});

test("long results that nobody reads lie on the disk, not in memory", async () => {
  const { url, client, held, peak, resident } = await start({ MAX_BATCH_BYTES: "6 MB" });
  const result = "r".repeat(5 * MB);
  await call(url, "POST", "/queues/q/jobs", { data: 1 });
  await call(url, "GET", "/queues/q/jobs");
  expect((await call(url, "POST", "/jobs/1/ack", { result })).status).toBe(200);
  expect((await call(url, "GET", "/jobs/1/result")).body.data).toBe(result);
  await warmUp(client);
  const none = (await held()).all;
  const before = resident();
  const { hostname, port } = new URL(url);
  for (let i = 0; i < 60; i++) {
    const socket = connect(Number(port), hostname);
    onTestFinished(() => void socket.destroy());
    socket.write(`GET /jobs/1${i % 2 === 0 ? "" : "/result"} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await once(socket, "readable");
  }
  const overHttp = peak() - before;
  const heldOverHttp = (await held()).all - none;
  const lazy = await client();
  lazy.socket.pause();
  lazy.send(`${JSON.stringify({ cmd: "GETRESULT", id: 1 })}\n`.repeat(200));
  const neighbour = await client();
  for (let i = 0; i < 200; i++) expect(await neighbour.ask(stats)).toMatchObject({ ok: true });
  const overTcp = peak() - before;
  tell(
    `60 unread results of 5 MB over HTTP: ${shown(heldOverHttp)} held, at most ${shown(overHttp)}; 200 more over TCP: at most ${shown(overTcp)}`,
  );
  // Held as a whole, they would take 300 MB.
  expect(heldOverHttp).toBeLessThan(30);
  expect(overHttp).toBeLessThan(3 * GARBAGE);
  // Two lines' worth is settled, 16 more are being read.
  expect(overTcp).toBeLessThan(overHttp + 2 * 6 + 16 * 5 + GARBAGE);
});
