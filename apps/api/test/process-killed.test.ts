import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer } from "smtp-server";
import { describe, expect, onTestFinished, test } from "vitest";
import { engines } from "./engines.ts";
import { call, startApi, testRedis } from "./running-process.ts";
import { temporaryFolder } from "./running-server.ts";

const SLOTS = 4;
const PRODUCERS = 10;
const JOBS_OF_EACH = 6;
const LEASE_MS = 2000;

/** What jobs do in the world outside: it takes messages, and from some time on keeps their senders waiting. */
class MailServer {
  /** How often a message to an address was taken. */
  readonly taken = new Map<string, number>();
  /** Who was sent a message that was not taken. */
  readonly held: string[] = [];
  takes = Infinity;
  readonly #server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS", "AUTH"],
    closeTimeout: 1,
    onData: (stream, { envelope }, done) => {
      const { address = "" } = envelope.rcptTo[0] ?? {};
      void text(stream).then(() => {
        if (this.takes-- <= 0) {
          this.held.push(address);
          return;
        }
        this.taken.set(address, (this.taken.get(address) ?? 0) + 1);
        done();
      });
    },
  });

  async listen(): Promise<Record<string, string>> {
    // Of senders that are gone.
    this.#server.on("error", () => undefined);
    const listening = once(this.#server.server, "listening");
    this.#server.listen(0, "127.0.0.1");
    await listening;
    onTestFinished(() => new Promise<void>((resolve) => this.#server.close(resolve)));
    const { port } = this.#server.server.address() as AddressInfo;
    return { SMTP_HOST: "127.0.0.1", SMTP_PORT: String(port) };
  }
}

describe.each(engines)("on the %s engine", (engine) => {
  test("kill -9 while jobs run: all that were acknowledged are done, and none twice but those that ran", async () => {
    const mail = new MailServer();
    const env = {
      ...(await mail.listen()),
      ...(engine === "redis" ? { REDIS_URL: (await testRedis()).url } : {}),
      DATA_DIR: await temporaryFolder(),
      WORKER_CONCURRENCY: String(SLOTS),
      LEASE_MS: String(LEASE_MS),
    };
    const first = await startApi(env);
    const [url = ""] = first.urls;
    mail.takes = 10;
    const acknowledged = new Map<string, string>();
    const produce = async (producer: number): Promise<void> => {
      for (let n = 0; n < JOBS_OF_EACH; n++) {
        const recipientEmail = `well-${producer}-${n}@example.com`;
        const data = { message: "The pump stands still", recipientEmail };
        const job = { type: "email-notification", data };
        // Whoever is cut off does not know; what was answered is known.
        const answer = await call(url, "POST", "/api/v1/jobs", job).catch(() => undefined);
        if (answer === undefined) return;
        expect(answer.status).toBe(201);
        acknowledged.set(answer.body.data.jobId, recipientEmail);
      }
    };
    const producers = Array.from({ length: PRODUCERS }, (_, producer) => produce(producer));
    await expect.poll(() => mail.held.length, { timeout: 60_000 }).toBe(SLOTS);
    await expect.poll(() => acknowledged.size, { timeout: 60_000 }).toBeGreaterThan(30);
    first.child.kill("SIGKILL");
    await Promise.all(producers);
    await first.ended;

    mail.takes = Infinity;
    const [next = ""] = (await startApi(env)).urls;
    const ended = await Promise.all(
      [...acknowledged].map(async ([id, address]) => {
        const wait = { timeoutMs: 60_000 };
        const { body } = await call(next, "POST", `/api/native/jobs/${id}/wait`, wait);
        return { address, ...(body.data as unknown as { state: string; crashes: number }) };
      }),
    );
    expect(ended.filter(({ state }) => state !== "completed")).toEqual([]);
    const ran = ended.filter(({ crashes }) => crashes > 0);
    expect(ran.map(({ address }) => address)).toEqual(expect.arrayContaining(mail.held));
    // What a slot had, and what it had not yet told the end of.
    expect(ran.length).toBeLessThanOrEqual(2 * SLOTS);
    const again = ended.filter(({ address }) => mail.taken.get(address) !== 1);
    expect(ran).toEqual(expect.arrayContaining(again));
    for (const { address, crashes } of ran) {
      expect([1, 2]).toContain(mail.taken.get(address));
      expect(crashes).toBe(1);
    }
  }, 180_000);
});
