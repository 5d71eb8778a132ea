import { afterAll } from "vitest";
import { startRedis, type TestRedis } from "../../../packages/core/test/redis.ts";

/** What a test has to hold on: `describe.each(engines)`, and `serve({ engine })`. */
export const engines = ["embedded", "redis"] as const;

export type EngineName = (typeof engines)[number];

const DATABASES = 10_000;

let server: Promise<TestRedis> | undefined;
let used = 0;
afterAll(async () => (await server)?.stop());

/** The settings of an engine that is empty. Redis is one server for each test file, and a database for each call. */
export async function emptyEngine(engine: EngineName): Promise<Record<string, string>> {
  if (engine === "embedded") return {};
  const { url } = await (server ??= startRedis("--databases", String(DATABASES)));
  return { REDIS_URL: `${url}/${used++}` };
}
