import { afterAll, beforeAll } from "vitest";
import { describeAdapter } from "../src/testing/index.ts";
import { bullmqEngine } from "./bullmq-engine.ts";
import { someRedis, type TestRedis } from "./redis.ts";

let redis: Pick<TestRedis, "url" | "stop">;

beforeAll(async () => {
  redis = await someRedis();
});

afterAll(() => redis.stop());

describeAdapter("BullMQ on Redis", {
  durable: true,
  make: (groups) => bullmqEngine(redis.url, groups),
});
