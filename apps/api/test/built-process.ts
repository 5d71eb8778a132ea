import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

const root = join(import.meta.dirname, "../../..");

export interface Built {
  /** The first address that it says it is ready on. */
  readonly url: string;
  /** Sends SIGTERM, and makes sure of an orderly stop. */
  stop(): Promise<void>;
}

/** Starts what was built, `file` from the repository's root, with the flags and environment of a container. */
export async function startBuilt(file: string, env: Record<string, string>): Promise<Built> {
  const child = spawn(process.execPath, ["--enable-source-maps", join(root, file)], {
    env: { PATH: process.env["PATH"] ?? "", NODE_ENV: "production", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  process.once("exit", () => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  let url = "";
  for await (const line of createInterface(child.stdout)) {
    url = (JSON.parse(line) as { readonly urls?: readonly string[] }).urls?.[0] ?? "";
    if (url !== "") break;
  }
  assert.notEqual(url, "", `${file} ended before it was ready`);
  child.stdout.resume();
  return {
    url,
    async stop() {
      child.kill("SIGTERM");
      assert.deepEqual(await ended, [0, null], `${file} did not stop in order`);
    },
  };
}

/** The JSON of an answer, which has to be a good one. */
export async function ask(url: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(url, {
    signal: AbortSignal.timeout(60_000),
    ...(body && { method: "POST", body: JSON.stringify(body) }),
  });
  const text = await response.text();
  assert.ok(response.ok, `${url}: ${response.status} ${text}`);
  return (JSON.parse(text) as { readonly data: Record<string, unknown> }).data;
}
