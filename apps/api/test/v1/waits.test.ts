import { Agent, request } from "node:http";
import { BullmqAdapter } from "@jobyard/core/bullmq";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { engines } from "../engines.ts";
import { serve } from "../running-server.ts";

const WAITS = 1000;
const adapters = { embedded: SqliteAdapter, redis: BullmqAdapter };

describe.each(engines)("on the %s engine", (engine) => {
  test("1,000 waits cost nothing while they wait, and each job that ends costs as much as with one", async () => {
    const { url, call } = await serve({ engine, handlers: [] });
    const native = async (path: string, body: object): Promise<unknown> => {
      const answer = await call("POST", `/api/native${path}`, body);
      expect(answer.status).toBeLessThan(300);
      return answer.body.data;
    };
    const jobs = Array.from({ length: WAITS }, (_, n) => ({ queue: "parcels", data: { n } }));
    await native("/jobs/bulk", { jobs });
    const { items: runs } = (await native("/work/pull", {
      queues: ["parcels"],
      limit: WAITS,
      worker: "courier",
    })) as { items: readonly { readonly id: string; readonly lease: string }[] };
    expect(runs).toHaveLength(WAITS);

    const prototype = adapters[engine].prototype;
    const reads = vi.spyOn(prototype, "get");
    const subscriptions = vi.spyOn(prototype, "subscribe");
    onTestFinished(() => void vi.restoreAllMocks());
    const agent = new Agent({ maxSockets: Infinity });
    onTestFinished(() => agent.destroy());
    const wait = (id: string): Promise<string> =>
      new Promise((resolve) => {
        const asked = request(
          `${url}/api/v1/jobs/${id}/wait`,
          { method: "POST", agent },
          (response) => {
            let text = "";
            response.on("data", (chunk: Buffer) => (text += chunk.toString()));
            response.on("end", () => resolve(text));
          },
        );
        asked.on("error", (error) => resolve(String(error)));
        asked.end('{"timeout":120000}');
      });
    const answers = runs.map(({ id }) => wait(id));
    await expect.poll(() => reads.mock.calls.length).toBe(WAITS);
    await Promise.all(reads.mock.results.map(({ value }) => value as Promise<unknown>));
    // One listener for all of them.
    expect(subscriptions.mock.calls.length).toBeLessThanOrEqual(1);

    // Nobody looks again by himself.
    reads.mockClear();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(reads).not.toHaveBeenCalled();

    const ack = (some: typeof runs) =>
      native("/work/ack", { items: some.map(({ id, lease }) => ({ id, lease })) });
    await ack(runs.slice(0, 1));
    expect(JSON.parse(await (answers[0] as Promise<string>))).toMatchObject({
      data: { status: "completed", progress: 100 },
    });
    // The one that waited for it has looked once, no other has.
    expect(reads).toHaveBeenCalledTimes(1);
    await ack(runs.slice(1));
    for (const text of await Promise.all(answers)) expect(text).toContain('"status":"completed"');
    expect(reads).toHaveBeenCalledTimes(WAITS);
    expect(subscriptions.mock.calls.length).toBeLessThanOrEqual(1);
  });
});
