import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import type { Body } from "./running-server.ts";
import { temporaryFolder } from "./running-server.ts";

const source = join(import.meta.dirname, "../src");

interface Run {
  readonly child: ReturnType<typeof spawn>;
  readonly lines: string[];
  /** The first line that matches, once it is there. */
  line(pattern: RegExp): Promise<string>;
  /** Exit code and all that was printed. */
  readonly ended: Promise<{
    readonly code: number | null;
    readonly out: string;
    readonly err: string;
  }>;
}

function run(file: string, env: Record<string, string>, args: readonly string[] = []): Run {
  const child = spawn(
    process.execPath,
    ["--conditions=@jobyard/source", join(source, file), ...args],
    {
      env: { PATH: process.env["PATH"] ?? "", TMPDIR: env["TMPDIR"] ?? "/tmp", ...env },
      stdio: "pipe",
    },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  const waiting: { pattern: RegExp; found: (line: string) => void }[] = [];
  createInterface(child.stdout).on("line", (line) => {
    lines.push(line);
    for (const { pattern, found } of waiting) if (pattern.test(line)) found(line);
  });
  let err = "";
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const ended = once(child, "close").then(([code]) => ({
    code: code as number | null,
    out: lines.join("\n"),
    err,
  }));
  return {
    child,
    lines,
    ended,
    async line(pattern) {
      const there = lines.find((line) => pattern.test(line));
      if (there !== undefined) return there;
      const found = new Promise<string>((resolve) => waiting.push({ pattern, found: resolve }));
      const over = ended.then(({ code, out }) => {
        throw new Error(`Ended with ${code} before ${pattern}:\n${out}\n${err}`);
      });
      return Promise.race([found, over]);
    },
  };
}

async function start(env: Record<string, string>): Promise<Run & { readonly urls: string[] }> {
  const main = run("main.ts", { HTTP_PORTS: "0", ...env });
  const ready = JSON.parse(await main.line(/Jobyard is ready/)) as { readonly urls: string[] };
  return { ...main, urls: ready.urls };
}

async function call(url: string, method: string, path: string, body?: unknown) {
  const response = await fetch(`${url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as Body & { readonly ok?: boolean };
  return { status: response.status, body: answer };
}

const longTexts = Array.from({ length: 10_000 }, (_, i) =>
  `Splendid, though dear, no. ${i}. `.repeat(60),
);

test("main: starts on both loopback addresses, stops on SIGTERM and gives back what it runs", async () => {
  const DATA_DIR = join(await temporaryFolder(), "new", "data");
  const first = await start({ DATA_DIR, SHUTDOWN_GRACE_MS: "0", LOG_LEVEL: "trace" });
  expect((await stat(DATA_DIR)).mode & 0o777).toBe(0o700);
  const ports = new Set(first.urls.map((one) => new URL(one).port));
  expect(ports.size).toBe(1);
  for (const url of first.urls) {
    const { status, body } = await call(url, "GET", "/health");
    expect(status).toBe(200);
    expect(body).toMatchObject({ ok: true, data: { status: "healthy", postgres_connected: true } });
  }
  const [url = ""] = first.urls;
  const data = { texts: longTexts };
  const { body } = await call(url, "POST", "/api/v1/jobs", {
    type: "sentiment_analysis_batch",
    data,
  });
  const id = body.data.jobId;
  const job = async () => (await call(url, "GET", `/api/v1/jobs/${id}`)).body.data;
  await expect.poll(async () => (await job()).progress, { timeout: 15_000 }).toBeGreaterThan(0);
  const waiting = call(url, "POST", `/api/v1/jobs/${id}/wait`, { timeout: 300_000 });
  await first.line(/request begins.*\/wait|\/wait.*request begins/);
  first.child.kill("SIGTERM");
  const waited = await waiting;
  expect(waited.status).toBe(408);
  expect(waited.body.details).toMatchObject({ code: "JOB_TIMEOUT" });
  expect(await first.ended).toMatchObject({ code: 0, err: "" });

  const second = await start({ DATA_DIR, INLINE_WORKER: "false" });
  const after = await call(second.urls[0] ?? "", "GET", `/api/v1/jobs/${id}`);
  expect(after.body.data).toMatchObject({ id, status: "pending" });
  second.child.kill("SIGINT");
  expect(await second.ended).toMatchObject({ code: 0 });
});

test("main: a second signal ends it at once", async () => {
  const main = await start({ DATA_DIR: await temporaryFolder() });
  const [url = ""] = main.urls;
  await call(url, "POST", "/api/v1/jobs", {
    type: "sentiment_analysis_batch",
    data: { texts: longTexts },
  });
  const running = async () =>
    (await call(url, "GET", "/api/v1/jobs?status=running")).body.data.total;
  await expect.poll(running).toBe(1);
  main.child.kill("SIGTERM");
  await main.line(/SIGTERM: stopping/);
  const { status, body } = await call(url, "GET", "/health");
  expect(status).toBe(503);
  expect(body).toMatchObject({ ok: true, data: { status: "stopping" } });
  main.child.kill("SIGTERM");
  expect(await main.ended).toMatchObject({ code: 1 });
});

test("main: a second process on the same folder is refused", async () => {
  const DATA_DIR = await temporaryFolder();
  const first = await start({ DATA_DIR });
  const { code, err } = await run("main.ts", { HTTP_PORTS: "0", DATA_DIR }).ended;
  expect(code).toBe(1);
  expect(err).toMatch(/^Jobyard cannot start: Another process is using .*jobyard\.db/);
  expect(err).not.toContain("    at ");
  expect((await call(first.urls[0] ?? "", "GET", "/health")).status).toBe(200);
});

test("main: a port that is taken is told, and nothing is left open", async () => {
  const first = await start({ DATA_DIR: await temporaryFolder() });
  const { port } = new URL(first.urls[0] ?? "");
  const DATA_DIR = await temporaryFolder();
  const { code, err } = await run("main.ts", { HTTP_PORTS: port, DATA_DIR }).ended;
  expect(code).toBe(1);
  expect(err).toMatch(new RegExp(`^Jobyard cannot start: .*${port}`));
});

test("main: wrong settings, and an engine that is not there yet", async () => {
  const wrong = await run("main.ts", { HTTP_PORTS: "http", LEASE_MS: "soon" }).ended;
  expect(wrong.code).toBe(78);
  expect(wrong.err).toMatch(/HTTP_PORTS: .*\n.*LEASE_MS: /);
  const DATA_DIR = join(await temporaryFolder(), "untouched");
  const redis = await run("main.ts", { REDIS_URL: "redis://localhost:6379", DATA_DIR }).ended;
  expect(redis.code).toBe(78);
  expect(redis.err).toContain("not part of this version");
  expect(existsSync(DATA_DIR)).toBe(false);
});

test("the demo runs from reviews to result, and cleans up", async () => {
  const TMPDIR = await temporaryFolder();
  const { code, out, err } = await run("demo.ts", { TMPDIR, NO_COLOR: "1" }).ended;
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toMatch(/progress {2}█+ 100 %/);
  expect(out).toMatch(/[\d,]+ texts in [\d.]+ s, [\d,]+ texts\/second/);
  expect(out).toMatch(/positive {2}[█░]+ +[\d.]+ %/);
  expect(out).toMatch(/\[[A-Z_ ]+\]/);
  expect(out).not.toContain("\u001B");
  const file = /All of it: (\S+)/.exec(out)?.[1] ?? "";
  const result = JSON.parse(readFileSync(file, "utf8")) as { readonly totalProcessed: number };
  expect(result.totalProcessed).toBeGreaterThanOrEqual(1000);
  // The result alone is kept.
  expect(await readdir(TMPDIR)).toEqual([expect.stringMatching(/^jobyard-demo-(?!data)/)]);
  await rm(TMPDIR, { recursive: true });
});

test("the demo that fails says why and cleans up", async () => {
  const TMPDIR = await temporaryFolder();
  const { code, err } = await run("demo.ts", { TMPDIR }, ["/nowhere/reviews.csv"]).ended;
  expect(code).toBe(1);
  expect(err).toMatch(/^\nThe demo failed: .*\/nowhere\/reviews\.csv/);
  expect(await readdir(TMPDIR)).toEqual([]);
});
