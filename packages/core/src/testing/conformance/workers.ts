import { describe, expect, it } from "vitest";

import type { WorkerRecord } from "../../queue-adapter.ts";
import { only, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeWorkers(factory: EngineFactory): void {
  describe("workers", () => {
    const d = useDriver(factory);
    const worker = {
      id: "w1",
      tenant: "default",
      queues: ["work", "mail"],
      concurrency: 5,
      jobsProcessed: 12,
      active: 3,
    };
    const list = (tenant = "default", withinMs = 30_000): Promise<readonly WorkerRecord[]> =>
      d.adapter.listWorkers({ tenant, withinMs });

    it("are known by their heartbeats", async () => {
      const start = d.now();
      await d.adapter.heartbeatWorker({ ...worker, memoryBytes: 1000, eventLoopLagMs: 1.5 });
      await d.advance(1000);
      await d.adapter.heartbeatWorker({ ...worker, jobsProcessed: 20, active: 0, queues: [] });
      expect(only(await list())).toMatchObject({
        ...worker,
        jobsProcessed: 20,
        active: 0,
        queues: [],
        startedAt: start,
        lastHeartbeat: start + 1000,
      });
    });

    it("tell of their memory and lag", async () => {
      await d.adapter.heartbeatWorker({ ...worker, memoryBytes: 1000, eventLoopLagMs: 1.5 });
      expect(only(await list())).toEqual({
        ...worker,
        memoryBytes: 1000,
        eventLoopLagMs: 1.5,
        startedAt: d.now(),
        lastHeartbeat: d.now(),
      });
    });

    it("are forgotten when they are silent or leave", async () => {
      await d.adapter.heartbeatWorker(worker);
      await d.advance(20_000);
      await d.adapter.heartbeatWorker({ ...worker, id: "w2" });
      expect((await list()).map(({ id }) => id).toSorted()).toEqual(["w1", "w2"]);
      expect(only(await list("default", 10_000)).id).toBe("w2");
      await d.adapter.forgetWorker({ tenant: "default", id: "w2" });
      await d.adapter.forgetWorker({ tenant: "default", id: "never seen" });
      expect(only(await list()).id).toBe("w1");
      await d.advance(20_000);
      expect(await list()).toEqual([]);
    });

    it("belong to their tenant, even under one id", async () => {
      await d.adapter.heartbeatWorker(worker);
      await d.adapter.heartbeatWorker({ ...worker, tenant: "acme", concurrency: 9 });
      expect(only(await list()).concurrency).toBe(5);
      expect(only(await list("acme")).concurrency).toBe(9);
      expect(await list("*")).toHaveLength(2);
      await d.adapter.forgetWorker({ tenant: "acme", id: "w1" });
      expect(only(await list("*")).tenant).toBe("default");
    });
  });

  describe("nodes", () => {
    const d = useDriver(factory);
    const node = { id: "n1", host: "localhost", port: 3001 };

    it("have a leader", async () => {
      const start = d.now();
      expect(await d.adapter.heartbeatNode(node)).toEqual({ isLeader: true });
      await d.advance(1000);
      expect(await d.adapter.heartbeatNode(node)).toEqual({ isLeader: true });
      expect(await d.adapter.listNodes({ withinMs: 30_000 })).toEqual([
        { ...node, isLeader: true, startedAt: start, lastHeartbeat: start + 1000 },
      ]);
    });

    it("are forgotten when they are silent", async () => {
      await d.adapter.heartbeatNode(node);
      await d.advance(60_000);
      expect(await d.adapter.listNodes({ withinMs: 30_000 })).toEqual([]);
    });

    it("have exactly one leader, and another when it is silent", async () => {
      // Where one process has the store to itself there is no second node.
      const others =
        d.adapter.capabilities.processes === "many"
          ? [
              { ...node, id: "n2" },
              { ...node, id: "n3" },
            ]
          : [];
      const leaders: string[] = [];
      for (const each of [node, ...others]) {
        if ((await d.adapter.heartbeatNode(each)).isLeader) leaders.push(each.id);
      }
      expect(leaders).toEqual(["n1"]);
      const listed = await d.adapter.listNodes({ withinMs: 30_000 });
      expect(listed.filter(({ isLeader }) => isLeader).map(({ id }) => id)).toEqual(["n1"]);
      await d.advance(600_000);
      const next = others[0] ?? node;
      expect(await d.adapter.heartbeatNode(next)).toEqual({ isLeader: true });
    });
  });

  describe("health", () => {
    const d = useDriver(factory);

    it("says that the store is reachable", async () => {
      const health = await d.adapter.health();
      expect(health.reachable).toBe(true);
      expect(health.latencyMs).toBeGreaterThanOrEqual(0);
      expect(typeof health.durable).toBe("boolean");
      expect(Array.isArray(health.warnings)).toBe(true);
    });
  });
}
