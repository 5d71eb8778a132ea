import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";
import type { historyPoint } from "../../src/dialects/flashq/mapping.ts";
import { engines } from "../engines.ts";
import { virtualApi } from "../virtual-api.ts";

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Prometheus' text format, version 0.0.4, and nothing besides. */
function parseExposition(text: string): readonly Sample[] {
  expect(text.endsWith("\n")).toBe(true);
  const samples: Sample[] = [];
  const told = new Map<string, { type?: string }>();
  const seen = new Set<string>();
  let family = "";
  for (const line of text.split("\n").slice(0, -1)) {
    if (line === "") continue;
    const [, kind = "", about = "", rest = ""] =
      /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line) ?? [];
    if (kind === "HELP") {
      expect(told.has(about), `${about} has one HELP`).toBe(false);
      told.set((family = about), {});
    } else if (kind === "TYPE") {
      expect([about, told.get(about)?.type]).toEqual([family, undefined]);
      expect(["counter", "gauge", "histogram"]).toContain(rest);
      told.set(about, { type: rest });
    } else {
      const [whole, name = "", inner = "", value = ""] =
        /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|NaN)$/i.exec(
          line,
        ) ?? [];
      expect(whole, `a sample: ${line}`).toBe(line);
      const { type } = told.get(family) ?? {};
      const own = type === "histogram" ? name.replace(/_(?:bucket|sum|count)$/, "") : name;
      expect([own, type === undefined]).toEqual([family, false]);
      expect(seen.has(`${name}{${inner}}`), `${line} is there once`).toBe(false);
      seen.add(`${name}{${inner}}`);
      const labels = [...inner.matchAll(/([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"/g)];
      samples.push({
        name,
        labels: Object.fromEntries(labels.map(([, key = "", text = ""]) => [key, text])),
        value: Number(value),
      });
    }
  }
  return samples;
}

describe.each(engines)("on the %s engine", (engine) => {
  test("history has 60 points 5 s apart: what was before the first question, and what came after", async () => {
    const { queue, advance, call } = await virtualApi(engine);
    const jobs = queue.of("default");
    const run = async (count: number): Promise<void> => {
      await jobs.addMany(
        Array.from({ length: count }, () => ({ queue: "paintings", data: 1 })),
        { atomic: true },
      );
      const claimed = await jobs.pull({ queue: "paintings", limit: count });
      await advance(40);
      await jobs.ack(claimed.map(({ id, lease }) => ({ id, lease })));
    };
    await advance(60_000);
    await run(24);
    await advance(120_000);
    await jobs.add({ queue: "paintings", data: 1 });
    const first: readonly ReturnType<typeof historyPoint>[] = (
      await call("GET", "/metrics/history")
    ).body.data;
    expect(first).toHaveLength(60);
    const at = first.map(({ timestamp }) => timestamp);
    const spans = at.slice(1).map((end, i) => end - (at[i] ?? 0));
    expect(new Set(spans)).toEqual(new Set([5000]));
    const sum = first.reduce((total, { completed }) => total + completed, 0);
    expect(sum).toBe(24);
    expect(first.at(-1)).toMatchObject({ queued: 1, processing: 0 });
    expect(first[0]).toMatchObject({ queued: 0, completed: 0, processing: null });

    await run(10);
    await advance(5000);
    await expect
      .poll(async () => (await call("GET", "/metrics/history")).body.data.at(-1))
      .toMatchObject({ completed: 10, failed: 0, queued: 1, processing: 0, latency_ms: 40 });
    expect((await call("GET", "/metrics/history")).body.data).toHaveLength(60);
  });

  test("the Prometheus page parses, with each sample's HELP and TYPE", async () => {
    const { queue, url } = await virtualApi(engine);
    const jobs = queue.of("default");
    const [done, bad] = await jobs.addMany(
      [1, 2, 3].map((data) => ({ queue: "paintings", data })),
      { atomic: true },
    );
    await jobs.pull({ queue: "paintings", limit: 2 });
    await jobs.ack([{ id: Number(done) }]);
    await jobs.fail({ id: Number(bad), error: "no blue left" });
    await jobs.add({ queue: "drawings", data: 1, delayMs: 60_000 });
    const response = await fetch(`${url}/metrics/prometheus`);
    expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    const samples = parseExposition(await response.text());
    const value = (name: string, labels = {}): number | undefined =>
      samples.find((s) => s.name === name && JSON.stringify(s.labels) === JSON.stringify(labels))
        ?.value;
    expect(value("flashq_jobs_pushed_total")).toBe(4);
    expect(value("flashq_jobs_completed_total")).toBe(1);
    expect(value("flashq_jobs_failed_total")).toBe(1);
    expect(value("flashq_jobs_current", { state: "queued" })).toBe(1);
    expect(value("flashq_jobs_current", { state: "delayed" })).toBe(1);
    expect(value("flashq_jobs_current", { state: "dlq" })).toBe(1);
    expect(value("flashq_jobs_current", { state: "processing" })).toBe(0);
    expect(value("flashq_throughput_per_second")).toBeGreaterThan(0);
    expect(value("flashq_queue_jobs", { queue: "paintings", state: "pending" })).toBe(1);
    expect(value("flashq_queue_jobs", { queue: "paintings", state: "dlq" })).toBe(1);
    expect(value("flashq_queue_jobs", { queue: "drawings", state: "pending" })).toBe(1);
    expect(value("jobyard_queue_jobs", { queue: "data_export", state: "waiting" })).toBe(0);
    expect(value("jobyard_store_reachable")).toBe(1);
  });

  test("what concerns every tenant is told to whoever may see it", async () => {
    const secret = "x".repeat(32);
    const { url } = await virtualApi(engine, { API_TOKENS: "scraper", JWT_SECRET: secret });
    const page = async (token: string): Promise<string> => {
      const headers = { Authorization: `Bearer ${token}` };
      return (await fetch(`${url}/metrics/prometheus`, { headers })).text();
    };
    expect(await page("scraper")).toContain("\njobyard_store_reachable 1\n");
    const ofTenant = new SignJWT({ roles: ["ADMIN"], tenantId: "acme" })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h");
    const own = await page(await ofTenant.sign(new TextEncoder().encode(secret)));
    expect(own).toContain("flashq_jobs_pushed_total 0\n");
    expect(own).not.toMatch(/jobyard_|nodejs_|process_/);
  });

  test("METRICS_TOKEN reads figures for Prometheus and nothing else", async () => {
    const env = { METRICS_TOKEN: "figures-alone", JWT_SECRET: "x".repeat(32) };
    const { url } = await virtualApi(engine, env);
    const ask = (path: string, method = "GET") =>
      fetch(`${url}${path}`, { method, headers: { Authorization: "Bearer figures-alone" } });
    const page = await ask("/metrics/prometheus");
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("\njobyard_store_reachable 1\n");
    expect((await ask("/metrics/prometheus", "HEAD")).status).toBe(200);
    const refused = ["/metrics", "/stats", "/queues", "/events", "/openapi.json", "/settings"];
    refused.push(
      "/api/native/whoami",
      "/api/native/jobs",
      "/api/v1/jobs",
      "/api/jobs/health/queue",
    );
    refused.push("/metrics/prometheus/", "/metrics/history");
    for (const path of refused) {
      expect([path, (await ask(path)).status]).toEqual([path, 401]);
    }
    for (const path of ["/metrics/prometheus", "/push", "/api/native/jobs"]) {
      expect([path, (await ask(path, "POST")).status]).toEqual([
        path,
        expect.toBeOneOf([401, 405]),
      ]);
    }
  });
});
