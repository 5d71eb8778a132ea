import { afterAll, beforeAll } from "vitest";
import { describeAdapter } from "../src/testing/index.ts";
import { bullmqEngine } from "./bullmq-engine.ts";
import { startCluster, type TestCluster } from "./redis-cluster.ts";

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startCluster();
});

afterAll(() => cluster.stop());

describeAdapter("BullMQ on a Redis Cluster of three masters", {
  durable: true,
  make: (groups) => bullmqEngine(cluster.urls, groups),
});
