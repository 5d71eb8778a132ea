import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import { childEnv } from "../../../scripts/child-env.ts";
import { startRedis, type TestRedis } from "../../../packages/core/test/redis.ts";
import type { Body } from "./running-server.ts";

const root = join(import.meta.dirname, "../../..");

/** A process of ours, as the root scripts start it. */
export interface Run {
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

/** `file`: from the repository's root. The process is gone after the test. */
export function run(file: string, env: Record<string, string>, args: readonly string[] = []): Run {
  const child = spawn(
    process.execPath,
    ["--conditions=@jobyard/source", join(root, file), ...args],
    {
      env: { ...childEnv, TMPDIR: env["TMPDIR"] ?? "/tmp", ...env },
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

/** The API once it is ready. */
export async function startApi(
  env: Record<string, string>,
): Promise<Run & { readonly urls: string[] }> {
  const main = run("apps/api/src/main.ts", {
    HTTP_PORTS: "0",
    TCP_PORT: "0",
    GRPC_PORT: "0",
    ...env,
  });
  const ready = JSON.parse(await main.line(/Jobyard is ready/)) as { readonly urls: string[] };
  return { ...main, urls: ready.urls };
}

export async function call(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  token?: string,
) {
  const response = await fetch(`${url}${path}`, {
    method,
    ...(token === undefined ? {} : { headers: { Authorization: `Bearer ${token}` } }),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as Body & { readonly ok?: boolean };
  return { status: response.status, body: answer };
}

/** Takes many seconds to be analysed. */
export const longTexts = Array.from({ length: 10_000 }, (_, i) =>
  `Splendid, though dear, no. ${i}. `.repeat(60),
);

/** A Redis of this test's own, gone after it. */
export async function testRedis(...settings: string[]): Promise<TestRedis> {
  const redis = await startRedis(...settings);
  onTestFinished(() => redis.stop());
  return redis;
}
