import { afterAll, beforeAll } from "vitest";
import { describeAdapter } from "../src/testing/index.ts";
import { bullmqEngine } from "./bullmq-engine.ts";
import { startRedis, type TestRedis } from "./redis.ts";

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

describeAdapter("BullMQ on Redis", { durable: true, make: () => bullmqEngine(redis.url) });
