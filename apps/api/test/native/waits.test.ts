import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { Begun } from "../running-server.ts";
import { native, refusal } from "./client.ts";

describe.each(engines)("waits on %s", (engine) => {
  test("a wait ends with the job, however it ends, or when its time is over", async () => {
    const begun = new Begun();
    const { add, call, data, pull } = await native({ engine, log: begun.log });
    const [done, failed, cancelled] = [
      await add({ queue: "slow", data: 1 }),
      await add({ queue: "slow" }),
      await add({ queue: "slow" }),
    ];
    const waits = [done, failed, cancelled].map((id) => data("POST", `/jobs/${id}/wait`));
    await begun.request("/wait", 3);
    const [a, b] = await pull("slow", 2);
    const ack = { id: done, lease: a?.lease, result: { n: 2 } };
    await data("POST", "/work/ack", { items: [ack] });
    const fail = { id: failed, lease: b?.lease, error: "no", final: true };
    await data("POST", "/work/fail", { items: [fail] });
    await data("POST", `/jobs/${cancelled}/cancel`);
    expect(await Promise.all(waits)).toMatchObject([
      { id: done, state: "completed", data: 1, result: { n: 2 } },
      { id: failed, state: "failed", error: { message: "no" } },
      { id: cancelled, state: "cancelled" },
    ]);
    const id = await add({ queue: "slow" });
    expect(await call("POST", `/jobs/${id}/wait`, { timeoutMs: 50 })).toMatchObject(
      refusal(408, "JOB_TIMEOUT", { state: "waiting", progress: 0 }),
    );
    expect((await call("POST", `/jobs/${id}/wait`, { timeoutMs: 300_001 })).status).toBe(400);
    expect((await call("POST", "/jobs/404404/wait")).status).toBe(404);
  });

  test("1,000 at once are answered as their jobs end", async () => {
    const { data, pull } = await native({ engine });
    const jobs = Array.from({ length: 1000 }, () => ({ queue: "crowd" }));
    const { outcomes } = await data("POST", "/jobs/bulk", { jobs });
    const ids = outcomes.map(({ id }: { id: string }) => id) as string[];
    const waits = ids.map((id) => data("POST", `/jobs/${id}/wait?include=result`, {}));
    const runs = await pull("crowd", 1000);
    const items = runs.map(({ id, lease }) => ({ id, lease, result: id }));
    await data("POST", "/work/ack", { items });
    const ended = await Promise.all(waits);
    expect(ended.map(({ id, result }) => [id, result])).toEqual(ids.map((id) => [id, id]));
  });

  test("a stop answers whoever waits or pulls", async () => {
    const begun = new Begun();
    const { add, call, close } = await native({ engine, log: begun.log });
    const id = await add({ queue: "open" });
    const wait = call("POST", `/jobs/${id}/wait`, { timeoutMs: 60_000 });
    const pull = call("POST", "/work/pull", { queues: ["empty"], waitMs: 60_000 });
    await begun.request("/wait");
    await begun.request("/pull");
    await close();
    expect(await wait).toMatchObject(refusal(408, "JOB_TIMEOUT", { state: "waiting" }));
    expect(await pull).toMatchObject({ status: 200, body: { data: { items: [] } } });
  });
});
