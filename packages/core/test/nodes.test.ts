import { expect, test, vi } from "vitest";
import { QueueError } from "../src/errors.ts";
import { processId } from "../src/node.ts";
import { Desk } from "./desk.ts";

const address = { id: processId, host: "10.1.2.3", port: 8080 };

test("a process that has joined is listed, leads, and is gone from the list once it is silent", async () => {
  const desk = await Desk.open();
  expect(desk.queue.isLeader).toBe(false);
  const startedAt = desk.clock.now();
  await desk.queue.join(address);
  expect(desk.queue.isLeader).toBe(true);
  expect(await desk.ours.nodes()).toEqual([
    { ...address, isLeader: true, startedAt, lastHeartbeat: startedAt },
  ]);
  await desk.pass(60_000);
  const [node] = await desk.ours.nodes();
  expect(desk.clock.now() - (node?.lastHeartbeat ?? 0)).toBeLessThan(5000);
  const silent = vi.spyOn(desk.adapter, "heartbeatNode");
  silent.mockRejectedValue(new QueueError("UNAVAILABLE", "cut off"));
  await desk.pass(3000);
  expect(desk.queue.isLeader).toBe(false);
  expect(desk.errors).toContain("send this node's heartbeat: QueueError: cut off");
  await desk.pass(15_000);
  expect(await desk.ours.nodes()).toEqual([]);
  silent.mockRestore();
  await desk.pass(3000);
  expect(desk.queue.isLeader).toBe(true);
});

test("of several nodes the leader alone prunes", async () => {
  const desk = await Desk.open();
  const heartbeat = vi.spyOn(desk.adapter, "heartbeatNode");
  heartbeat.mockResolvedValue({ isLeader: false });
  const prune = vi.spyOn(desk.adapter, "prune");
  await desk.queue.join(address);
  await desk.pass(180_000, 1000);
  expect(prune).not.toHaveBeenCalled();
  heartbeat.mockRestore();
  await desk.pass(65_000, 1000);
  expect(prune).toHaveBeenCalledTimes(1);
});
