import { once } from "node:events";
import { connect } from "node:net";
import type { JobQueue } from "@jobyard/core";
import fc from "fast-check";
import { SignJWT } from "jose";
import { expect, test } from "vitest";
import { bytes, fields, fuzz, nasty, withByte } from "./hostile-values.ts";
import { type Answer, DEVELOPMENT_SECRET, type LineClient, lines } from "./line-client.ts";
import { queueOn } from "./queue-on.ts";

const words = [
  "AUTH",
  "PUSH",
  "PUSHB",
  "PULL",
  "PULLB",
  "ACK",
  "ACKB",
  "FAIL",
  "CANCEL",
  "PROGRESS",
  "GETPROGRESS",
  "GETJOB",
  "GETSTATE",
  "GETRESULT",
  "DLQ",
  "RETRYDLQ",
  "RATELIMIT",
  "PAUSE",
  "RATELIMITCLEAR",
  "SETCONCURRENCY",
  "CLEARCONCURRENCY",
  "RESUME",
  "LISTQUEUES",
  "CRON",
  "CRONDELETE",
  "CRONLIST",
  "STATS",
  "METRICS",
  "HEARTBEAT",
];

const command = fc
  .tuple(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom<unknown>(...words) },
      { weight: 1, arbitrary: nasty },
    ),
    fc.record(fields, { requiredKeys: ["queue"] }),
  )
  .map(([cmd, rest]) => JSON.stringify({ cmd, ...rest }));

/** A line, without its break. */
const line = fc
  .oneof(
    { weight: 6, arbitrary: command.map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: fc.json().map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: bytes(200) },
    {
      weight: 2,
      // A command with a byte that is another one.
      arbitrary: fc.tuple(command, fc.nat(), fc.nat(255)).map(([text, at, byte]) => {
        return withByte(Buffer.from(text), at, byte);
      }),
    },
  )
  .map((text) => Buffer.from(text.map((byte) => (byte === 0x0a ? 0x20 : byte))));

/** Adds, pulls and ends jobs of its own tenant all the while: none may get lost. */
async function neighbour(
  one: LineClient,
  queue: JobQueue,
): Promise<(round: number) => Promise<void>> {
  const token = await new SignJWT({ role: "OPERATOR", tenantId: "beside" })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("1d")
    .sign(new TextEncoder().encode(DEVELOPMENT_SECRET));
  expect(await one.ask({ cmd: "AUTH", token })).toEqual({ ok: true });
  await one.ask({ cmd: "PUSH", queue: "fuzz", data: -1 });
  return async (round) => {
    const [pushed, pulled] = await one.askAll([
      { cmd: "PUSH", queue: "fuzz", data: round, priority: 1 },
      { cmd: "PULL", queue: "fuzz" },
    ]);
    expect(pushed).toMatchObject({ ok: true });
    expect(pulled).toMatchObject({ job: { data: round } });
    expect(await one.ask({ cmd: "ACK", id: pulled.job.id })).toEqual({ ok: true });
    expect(await queue.of("beside").count()).toMatchObject({ waiting: 1, active: 0 });
  };
}

test("whatever lines come in whatever pieces, each is answered in its place", async () => {
  const queue = await queueOn("embedded");
  const { port, client } = await lines(queue, { env: { MAX_BATCH_BYTES: "20000" } });
  const beside = await neighbour(await client(), queue);
  let round = 0;
  await fuzz(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(400), { maxLength: 4 }),
      async (sent, cuts) => {
        const answers = await exchange(port, sent, cuts);
        const asked = sent.filter((text) => text.some((byte) => byte !== 0x20 && byte !== 0x09));
        for (const { ok, error } of answers) {
          expect(ok === true || (ok === false && typeof error === "string")).toBe(true);
          // Our own bugs.
          if (ok === false) expect(error).not.toContain("Something went wrong");
        }
        const last: unknown = answers.at(-1)?.error;
        const cut = last === "This port does not speak HTTP" || last === "Too many failed AUTHs";
        // Lines of nothing but blanks are none.
        if (!cut) expect(answers.length).toBeGreaterThanOrEqual(asked.length - blanks(asked));
        if (!cut) expect(answers.length).toBeLessThanOrEqual(sent.length);
        if (round++ % 50 === 0) await beside(round);
      },
    ),
  );
  await beside(round);
}, 600_000);

/** Unicode knows other blanks than these bytes. */
function blanks(asked: readonly Buffer[]): number {
  return asked.filter((text) => text.toString().trim() === "").length;
}

/** Sends in pieces, ends its side, and reads to the end. */
async function exchange(
  port: number,
  sent: readonly Buffer[],
  cuts: readonly number[],
): Promise<readonly Answer[]> {
  const socket = connect({ host: "127.0.0.1", port });
  const read: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => read.push(chunk));
  const all = Buffer.concat(sent.flatMap((text) => [text, Buffer.from("\n")]));
  let from = 0;
  for (const cut of cuts) {
    socket.write(all.subarray(from, from + cut));
    from += cut;
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.end(all.subarray(from));
  await once(socket, "close");
  const text = Buffer.concat(read).toString();
  expect(text === "" || text.endsWith("\n")).toBe(true);
  return text
    .split("\n")
    .slice(0, -1)
    .map((answer) => JSON.parse(answer) as unknown);
}
