import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { guarded, native, refusal, token } from "./client.ts";

interface Message {
  readonly id?: string;
  readonly event?: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- whatever the event holds
  readonly data: any;
}

/** Reads a stream of events as it comes. */
class Reader {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";
  readonly #gone: AbortController;

  private constructor(response: Response, gone: AbortController) {
    this.#reader = (response.body as ReadableStream<Uint8Array>)
      .pipeThrough(new TextDecoderStream())
      .getReader();
    this.#gone = gone;
  }

  static async of(url: string, headers: Record<string, string> = {}): Promise<Reader> {
    const gone = new AbortController();
    const response = await fetch(url, { headers, signal: gone.signal });
    const type = response.headers.get("content-type");
    if (type !== "text/event-stream") throw new Error(`No stream: ${response.status} ${type}`);
    const reader = new Reader(response, gone);
    // Begins with how long to wait before another try.
    const first = await reader.block();
    if (first !== "retry: 1000") throw new Error(`The stream begins with ${first}`);
    return reader;
  }

  /** undefined: the stream has ended. */
  async block(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n\n");
      if (end >= 0) {
        const block = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 2);
        return block;
      }
      const { value, done } = await this.#reader.read();
      if (done) return undefined;
      this.#rest += value;
    }
  }

  async next(): Promise<Message | undefined> {
    for (;;) {
      const block = await this.block();
      if (block === undefined) return undefined;
      if (block.startsWith(":")) continue;
      const fields = block.split("\n").map((line) => line.split(/: (.*)/s) as [string, string]);
      const { data = "null", ...rest } = Object.fromEntries(fields);
      return { ...rest, data: JSON.parse(data) as unknown };
    }
  }

  async take(count: number): Promise<readonly Message[]> {
    const messages: Message[] = [];
    while (messages.length < count) messages.push((await this.next()) as Message);
    return messages;
  }

  close(): void {
    this.#gone.abort();
  }
}

describe.each(engines)("events on %s", (engine) => {
  test("what happens to a job, as it happens", async () => {
    const { url, add, data, pull } = await native({ engine });
    const reader = await Reader.of(`${url}/events`);
    const id = await add({ queue: "post", maxAttempts: 2, backoffMs: 0 });
    const [run] = await pull("post");
    const ref = { id, lease: run?.lease };
    await data("POST", "/work/progress", { items: [{ ...ref, progress: 30, message: "sorting" }] });
    await data("POST", "/work/fail", { items: [{ ...ref, error: "wet", final: true }] });
    await data("POST", "/queues/post/pause");
    const told = await reader.take(5);
    const common = { tenant: "default", queue: "post", jobId: id, at: expect.any(String) };
    expect(told.map(({ data: event }) => event)).toMatchObject([
      { ...common, type: "job.pushed" },
      { ...common, type: "job.started" },
      { ...common, type: "job.progress", progress: 30, message: "sorting" },
      { ...common, type: "job.failed", error: "wet", final: true },
      { ...common, type: "queue.paused", jobId: null },
    ]);
    for (const { id: cursor, event, data: body } of told) {
      expect([cursor, event]).toEqual([body.id, body.type]);
    }
    reader.close();
  });

  test("a reader that comes back misses nothing, and hears when it did", async () => {
    const { url, add } = await native({ engine });
    const first = await Reader.of(`${url}/events`);
    await add({ queue: "post" });
    const [seen] = await first.take(1);
    first.close();
    const missed = [await add({ queue: "post" }), await add({ queue: "post" })];
    const back = [
      await Reader.of(`${url}/events`, { "Last-Event-ID": seen?.id ?? "" }),
      await Reader.of(`${url}/events?after=${seen?.id}`),
    ];
    for (const reader of back) {
      const told = await reader.take(2);
      expect(told.map(({ data }) => data.jobId as string)).toEqual(missed);
      reader.close();
    }
    const lost = await Reader.of(`${url}/events?after=long-ago`);
    expect(await lost.next()).toEqual({ event: "gap", data: {} });
    const id = await add({ queue: "post" });
    // From where the log begins, or from now on.
    for (let told = await lost.next(); told?.data.jobId !== id; told = await lost.next()) {
      expect(told?.data.type).toBe("job.pushed");
    }
    lost.close();
  });

  test("only what is asked for: queue, types, jobs", async () => {
    const { url, data, pull } = await native({ engine });
    const { outcomes } = await data("POST", "/jobs/bulk", {
      jobs: [{ queue: "a" }, { queue: "a" }, { queue: "b" }],
    });
    const [one, , three] = outcomes.map(({ id }: { id: string }) => id) as string[];
    const byQueue = await Reader.of(`${url}/events?queue=b`);
    const byType = await Reader.of(`${url}/events?type=job.completed&type=job.failed`);
    const byJob = await Reader.of(`${url}/events?job=${one}&job=${three}`);
    const runs = [...(await pull("a", 2)), ...(await pull("b"))];
    const items = runs.map(({ id, lease }) => ({ id, lease }));
    await data("POST", "/work/ack", { items });
    const told = async (reader: Reader, count: number): Promise<string[]> =>
      (await reader.take(count)).map(({ data }) => `${data.jobId} ${data.type}`);
    expect(await told(byQueue, 2)).toEqual([`${three} job.started`, `${three} job.completed`]);
    expect((await told(byType, 3)).every((line) => line.endsWith("completed"))).toBe(true);
    expect((await told(byJob, 4)).toSorted()).toEqual(
      [
        `${one} job.started`,
        `${three} job.started`,
        `${one} job.completed`,
        `${three} job.completed`,
      ].toSorted(),
    );
    for (const reader of [byQueue, byType, byJob]) reader.close();
  });

  test("activity: events counted by queue and type, seldom", async () => {
    const { url, data, add, pull } = await native({ engine });
    const reader = await Reader.of(`${url}/activity?everyMs=250`);
    await data("POST", "/jobs/bulk", {
      jobs: Array.from({ length: 500 }, (_, n) => ({ queue: n < 400 ? "post" : "parcels" })),
    });
    await pull("post", 100);
    const sums: Record<string, number> = {};
    const times: number[] = [];
    while (sums["post job.started"] !== 100) {
      const message = await reader.next();
      expect(message?.event).toBe("activity");
      times.push(Date.parse(message?.data.at as string));
      for (const { tenant, queue, counts } of message?.data.queues ?? []) {
        expect(tenant).toBe("default");
        for (const [type, count] of Object.entries(counts as Record<string, number>)) {
          const key = `${queue} ${type}`;
          sums[key] = (sums[key] ?? 0) + count;
        }
      }
    }
    expect(sums).toEqual({
      "post job.pushed": 400,
      "parcels job.pushed": 100,
      "post job.started": 100,
    });
    for (const [n, at] of times.slice(1).entries()) {
      expect(at - (times[n] as number)).toBeGreaterThanOrEqual(240);
    }
    reader.close();
    const one = await Reader.of(`${url}/activity?everyMs=250&queue=parcels`);
    await add({ queue: "post" });
    await add({ queue: "parcels" });
    expect((await one.next())?.data.queues).toEqual([
      { tenant: "default", queue: "parcels", counts: { "job.pushed": 1 } },
    ]);
    one.close();
  });

  test("each tenant hears of its own, and a token for all tenants of all", async () => {
    const { url, as } = await guarded({ engine });
    const streams = await Promise.all(
      ["acme", "*"].map(async (tenantId) =>
        Reader.of(`${url}/events?token=${await token({ tenantId })}`),
      ),
    );
    await (await as({ tenantId: "beta" })).add({ queue: "post" });
    await (await as({ tenantId: "acme" })).add({ queue: "post" });
    const [acme, all] = streams as [Reader, Reader];
    expect((await acme.next())?.data.tenant).toBe("acme");
    expect((await all.take(2)).map(({ data }) => data.tenant as string)).toEqual(["beta", "acme"]);
    for (const reader of streams) reader.close();
  });
});

test("a stream ends with its token, and a bad token opens none", async () => {
  const { url } = await guarded();
  const soon = Math.floor(Date.now() / 1000) + 4;
  const reader = await Reader.of(`${url}/events?token=${await token({}, soon)}`);
  expect(await reader.next()).toMatchObject({
    event: "dropped",
    data: { error: "The token has expired" },
  });
  expect(await reader.next()).toBeUndefined();
  expect(Date.now()).toBeGreaterThanOrEqual(soon * 1000 - 50);
  expect((await fetch(`${url}/events?token=nonsense`)).status).toBe(401);
  expect((await fetch(`${url}/events`)).status).toBe(401);
  // Only readers of streams put their token there.
  expect((await fetch(`${url}/whoami?token=${await token()}`)).status).toBe(401);
});

test("a HEAD opens no stream, and bad questions none either", async () => {
  const { url, call } = await native();
  const head = await fetch(`${url}/events`, { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
  for (const query of ["type=job.eaten", "queue=no%20name", `after=${"x".repeat(200)}`]) {
    expect(await call("GET", `/events?${query}`)).toMatchObject(refusal(400, "INVALID_JOB_DATA"));
  }
});

test("a reader that does not read is dropped and told, and holds up nobody", async () => {
  const { url, data } = await native();
  const gone = new AbortController();
  const slow = await fetch(`${url}/events`, { signal: gone.signal });
  const jobs = Array.from({ length: 1000 }, () => ({ queue: "flood" }));
  // Well over what the sockets between and the buffer take.
  for (let n = 0; n < 60; n++) await data("POST", "/jobs/bulk", { jobs });
  const text = await slow.text();
  expect(text.length).toBeGreaterThan(1_000_000);
  expect(text.length).toBeLessThan(9_000_000);
  const why = 'event: dropped\ndata: {"error":"Too slow: 1000000 bytes lie unread"}\n\n';
  expect(text.endsWith(why)).toBe(true);
});

test("a stop ends open streams, and waits for none", async () => {
  const times: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const { url, close } = await native();
    const open = await Reader.of(`${url}/events`);
    const began = performance.now();
    await close();
    expect(await open.next()).toBeUndefined();
    times.push(performance.now() - began);
  }
  // Sooner than a connection that does not end is cut, which would be so each time.
  expect(Math.min(...times)).toBeLessThan(1900);
});
