import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseConfig } from "@jobyard/core";
import { createLogger } from "@jobyard/core/process";
import { afterAll, onTestFinished } from "vitest";
import { childEnv } from "../../../scripts/child-env.ts";
import { startServer } from "../../api/src/server.ts";

export const main = join(import.meta.dirname, "../src/main.ts");

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface Started {
  readonly child: ReturnType<typeof spawn>;
  readonly ended: Promise<Ended>;
}

export interface Where {
  readonly env?: Readonly<Record<string, string>>;
  /** For standard input. */
  readonly input?: string;
  readonly cwd?: string;
}

/** The `jobs` program from source, as a process of its own that is gone after the test. */
export function start(args: readonly string[], { env = {}, input, cwd }: Where = {}): Started {
  const child = spawn(process.execPath, ["--conditions=@jobyard/source", main, ...args], {
    env: { ...childEnv, HOME: "/nonexistent", ...env },
    stdio: "pipe",
    ...(cwd !== undefined && { cwd }),
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  // Who reads no input may be gone before it is written.
  child.stdin.on("error", () => undefined);
  if (input !== undefined) child.stdin.end(input);
  const both = Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return {
    child,
    ended: both.then(([out, err, [code]]) => ({ code: code as number | null, out, err })),
  };
}

export interface Server {
  readonly url: string;
  readonly dataDir: string;
  /** Runs `jobs …` against it to its end. */
  readonly jobs: (args: readonly string[], where?: Where) => Promise<Ended>;
  /** The same, not ended yet. */
  readonly start: (args: readonly string[], where?: Where) => Started;
  /** The JSON that `jobs … --json` prints. */
  readonly json: <T>(...args: string[]) => Promise<T>;
}

/** A server on the embedded engine for all tests of a file; call it at the top. */
export async function serve(env: Readonly<Record<string, string>> = {}): Promise<Server> {
  const dataDir = await mkdtemp(join(tmpdir(), "jobyard-cli-test-"));
  const config = parseConfig({
    HTTP_PORTS: "0",
    TCP_PORT: "0",
    GRPC_PORT: "0",
    SHUTDOWN_GRACE_MS: "0",
    WEBHOOK_ALLOW_PRIVATE: "true",
    ...env,
    DATA_DIR: dataDir,
  });
  const server = await startServer({ config, log: createLogger("silent", false) });
  afterAll(async () => {
    await server.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  const url = server.urls[0] as string;
  const here = (where: Where = {}): Where => ({
    ...where,
    env: { JOBS_URL: url, ...where.env },
  });
  const jobs: Server["jobs"] = (args, where) => start(args, here(where)).ended;
  return {
    url,
    dataDir,
    jobs,
    start: (args, where) => start(args, here(where)),
    async json<T>(...args: string[]) {
      const { code, out, err } = await jobs([...args, "--json"]);
      if (code !== 0) throw new Error(`jobs ${args.join(" ")} ended with ${code}: ${err}`);
      return JSON.parse(out) as T;
    },
  };
}
