import type { IncomingMessage } from "node:http";
import { parseConfig } from "@jobyard/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { startRedis } from "../../../packages/core/test/redis.ts";
import { clientAddress } from "../src/client-address.ts";
import { engines } from "./engines.ts";
import { serve, temporaryFolder } from "./running-server.ts";
import { reading, token, wellflow } from "./wellflow/client.ts";

const few = { RATE_LIMIT_STANDARD: "3", RATE_LIMIT_BULK: "1", RATE_LIMIT_HEALTH: "4" };

/** What an answer tells of the caller's limit. */
function limitOf({ headers }: { readonly headers: Headers }): (number | null)[] {
  return ["limit", "remaining"].map((name) => {
    const value = headers.get(`x-ratelimit-${name}`);
    return value === null ? null : Number(value);
  });
}

describe.each(engines)("on the %s engine", (engine) => {
  test("each class counts by itself, and says how it stands", async () => {
    const { call } = await wellflow({ engine, env: few });
    const began = Date.now() / 1000;
    const first = await call("GET", "/queues");
    expect(limitOf(first)).toEqual([3, 2]);
    const reset = Number(first.headers.get("x-ratelimit-reset"));
    expect(Number.isInteger(reset)).toBe(true);
    expect(reset).toBeGreaterThanOrEqual(Math.floor(began) + 59);
    expect(reset).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000) + 60);
    // What is refused counts as well.
    expect(limitOf(await call("POST", "/queues/data-validation/jobs", "{}"))).toEqual([3, 1]);
    expect(limitOf(await call("GET", "/nothing"))).toEqual([3, 0]);
    const refused = await call("GET", "/queues");
    expect(refused.status).toBe(429);
    expect(refused.body).toEqual({
      success: false,
      error: { code: "RATE_LIMIT_EXCEEDED", message: expect.stringContaining("3 requests") },
    });
    expect(limitOf(refused)).toEqual([3, 0]);
    expect(Number(refused.headers.get("x-ratelimit-reset"))).toBeGreaterThanOrEqual(reset - 1);
    const wait = Number(refused.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(30);
    expect(wait).toBeLessThanOrEqual(60);

    const job = { queue: "data-validation", data: reading };
    expect(limitOf(await call("POST", "/bulk", { jobs: [job] }))).toEqual([1, 0]);
    expect((await call("POST", "/bulk", { jobs: [job] })).status).toBe(429);
    expect((await call("POST", "/status", { jobIds: ["1"] })).status).toBe(429);
    expect(limitOf(await call("GET", "/health"))).toEqual([4, 3]);
  });

  test("each token has its own, whatever its tenant", async () => {
    const { call, as } = await wellflow({ engine, env: few });
    const other = await as({ sub: "bea" });
    for (let i = 0; i < 3; i++) await call("GET", "/queues");
    expect((await call("GET", "/queues")).status).toBe(429);
    expect(limitOf(await other("GET", "/queues"))).toEqual([3, 2]);
  });

  test("whoever tries tokens is slowed down by address", async () => {
    const { call } = await wellflow({ engine, env: few });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) {
      const Authorization = `Bearer guess-${i}`;
      statuses.push((await call("GET", "/queues", undefined, { Authorization })).status);
    }
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect((await call("GET", "/queues")).status).toBe(200);
  });
});

test("processes on one Redis count together", async () => {
  const one = await wellflow({ engine: "redis", env: few });
  const { REDIS_URL = "" } = one.env;
  const two = await wellflow({ env: { ...few, REDIS_URL } });
  const claims = { sub: "both" };
  const calls = [await one.as(claims), await two.as(claims)];
  // Two tokens of the same second and claims are one token.
  const Authorization = `Bearer ${await token(claims)}`;
  const remaining: (number | null | undefined)[] = [];
  for (let i = 0; i < 3; i++) {
    const answer = await calls[i % 2]?.("GET", "/queues", undefined, { Authorization });
    remaining.push(answer && limitOf(answer)[1]);
  }
  expect(remaining).toEqual([2, 1, 0]);
  for (const call of calls) {
    expect((await call("GET", "/queues", undefined, { Authorization })).status).toBe(429);
  }
});

test("while Redis is away, calls are told so and not that something broke", async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  const { call } = await wellflow({ env: { ...few, REDIS_URL: redis.url } });
  expect((await call("GET", "/queues")).status).toBe(200);
  await redis.kill();
  const away = await call("GET", "/queues");
  expect(away.status).toBe(503);
  expect(away.body.error.code).toBe("SYSTEM_ERROR");
  expect(away.headers.get("retry-after")).toMatch(/^\d+$/);
  // This process counts for itself.
  expect(limitOf(away)).toEqual([3, 2]);
  const health = await call("GET", "/health");
  expect(health.status).toBe(503);
  expect(health.body.error.code).toBe("SYSTEM_ERROR");
  await redis.restart();
  await expect.poll(async () => (await call("GET", "/health")).status, { interval: 500 }).toBe(200);
});

test("an open server counts by client address", async () => {
  const DATA_DIR = await temporaryFolder();
  const { call } = await serve({ handlers: [], env: { ...few, DATA_DIR, TRUST_PROXY: "1" } });
  const from = (address: string) =>
    call("GET", "/api/jobs/queues", undefined, { "X-Forwarded-For": address });
  for (let i = 0; i < 3; i++) expect((await from("203.0.113.9, 198.51.100.7")).status).toBe(401);
  expect((await from("203.0.113.10, 198.51.100.7")).status).toBe(429);
  expect((await from("198.51.100.8")).status).toBe(401);
});

test("off is off", async () => {
  const { call } = await wellflow();
  const answer = await call("GET", "/queues");
  expect(answer.status).toBe(200);
  expect(limitOf(answer)).toEqual([null, null]);
});

test.each([
  ["nobody is trusted", undefined, "192.0.2.1", "203.0.113.9", "192.0.2.1"],
  ["IPv4 in IPv6", undefined, "::ffff:192.0.2.1", undefined, "192.0.2.1"],
  ["one proxy", "1", "10.0.0.1", "198.51.100.7", "198.51.100.7"],
  ["what the client made up", "1", "10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"],
  ["two proxies", "2", "10.0.0.1", "203.0.113.9, 198.51.100.7", "203.0.113.9"],
  ["more proxies than there were", "5", "10.0.0.1", "198.51.100.7", "198.51.100.7"],
  ["a proxy that tells nothing", "1", "10.0.0.1", undefined, "10.0.0.1"],
  ["no address", "1", "10.0.0.1", "unknown", "10.0.0.1"],
  ["a port", "1", "10.0.0.1", "198.51.100.7:5512", "198.51.100.7"],
  ["IPv6 with a port", "1", "10.0.0.1", "[2001:db8::7]:5512", "2001:db8::7"],
  ["a range", "10.0.0.0/8", "10.0.0.1", "203.0.113.9, 10.2.0.4", "203.0.113.9"],
  ["outside of the range", "10.0.0.0/8", "192.0.2.1", "203.0.113.9", "192.0.2.1"],
  ["loopback", "loopback", "::1", "203.0.113.9", "203.0.113.9"],
])("the client's address: %s", (_, trust, remoteAddress, forwarded, address) => {
  const { http } = parseConfig({ TRUST_PROXY: trust });
  const request = {
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
  };
  expect(clientAddress(http.trustProxy)(request as unknown as IncomingMessage)).toBe(address);
});
