import { describe, expect, onTestFinished, test, vi } from "vitest";
import { QueueError } from "../src/errors.ts";
import { Desk } from "./desk.ts";
import { ended, startWorker } from "./run-worker.ts";

/** What a worker does by itself: often enough, not more often, and not for ever. */
describe("a worker's timers", () => {
  test("are gone once it is drained", async () => {
    const desk = await Desk.open();
    const { worker } = startWorker(desk, async ({ progress }) => progress({ progress: 1 }));
    await ended(desk, await desk.ours.add({ queue: "work", data: 1 }));
    await worker.drain(0);
    const calls = ["heartbeatWorker", "renew", "progress", "log", "claim"] as const;
    const spies = calls.map((call) => vi.spyOn(desk.adapter, call));
    await desk.pass(400_000, 10_000);
    for (const spy of spies) expect(spy).not.toHaveBeenCalled();
  });

  test("do not keep a process alive", async () => {
    const desk = await Desk.open();
    // All of them are the clock's, whose timers do not.
    const timeout = vi.spyOn(globalThis, "setTimeout");
    const interval = vi.spyOn(globalThis, "setInterval");
    onTestFinished(() => void vi.restoreAllMocks());
    startWorker(desk, async ({ progress }) => progress({ progress: 1 }));
    await ended(desk, await desk.ours.add({ queue: "work", data: 1 }));
    await desk.pass(400_000, 10_000);
    expect(timeout).not.toHaveBeenCalled();
    expect(interval).not.toHaveBeenCalled();
  });

  test("ask a store that is away every half second, and a broken one not at all", async () => {
    const desk = await Desk.open();
    const claim = vi.spyOn(desk.adapter, "claim");
    claim.mockRejectedValue(new QueueError("UNAVAILABLE", "disk full"));
    const { worker, errors } = startWorker(desk, async () => 1);
    const id = await desk.ours.add({ queue: "work", data: 1 });
    await desk.pass(5000, 100);
    expect(claim.mock.calls.length).toBeGreaterThan(8);
    expect(claim.mock.calls.length).toBeLessThan(12);
    claim.mockRestore();
    const complete = vi.spyOn(desk.adapter, "complete");
    complete.mockRejectedValueOnce(new QueueError("INTERNAL", "a fault of ours"));
    errors.length = 0;
    await desk.pass(5000, 100);
    expect(complete).toHaveBeenCalledTimes(1);
    expect(errors).toMatchObject([{ doing: "end runs", error: { code: "INTERNAL" } }]);
    expect(worker.active).toBe(0);
    // The lease brings it back.
    await desk.pass(310_000, 1000);
    expect(await desk.ours.get(id)).toMatchObject({ state: "completed", crashes: 1 });
  });
});
