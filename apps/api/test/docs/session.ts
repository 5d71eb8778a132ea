import { spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { startRedis } from "../../../../packages/core/test/redis.ts";
import { childEnv } from "../../../../scripts/child-env.ts";
import { type Page, root } from "./blocks.ts";
import { programOf, type Segment, segmentsOf, showsRightly } from "./segments.ts";

/** A page that takes longer hangs. */
const LONGEST_MS = 150_000;
/** For what runs in the background to print what the page shows. */
const PATIENCE_MS = 30_000;
/** As `over` in the prelude has it. */
const OVER_FD = 9;
/** Below those that systems give to whoever asks for any port; no two pages and hardly two processes have the same. */
const [FIRST_PORT, LAST_PORT] = [10_000, 30_000];
let nextPort = FIRST_PORT + (process.pid % 150) * 130;

/** What a page calls by the default ports is called by others, so that pages run side by side. */
interface Ports {
  readonly [standard: string]: number;
}

/**
 * Runs a page from its beginning to its end in a folder that looks like a clone, against servers of its own.
 * @throws Error telling the line that failed and what it printed
 */
export async function assertRuns(page: Page): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "jobyard-docs-"));
  const segmentsFolder = join(folder, ".segments");
  const ports = await freePorts("3001", "6790", "6789", "6791", "3002", "6379", "8080");
  const local = (text: string): string => withPorts(text, ports);
  const segments = withServer(segmentsOf(page));
  const needsRedis = segments.some(({ code }) => code.includes("redis://localhost:6379"));
  const startsRedis = segments.some(({ code }) => /^redis-server\b/m.test(code));
  const redis =
    needsRedis && !startsRedis ? await startRedis("--port", String(ports["6379"])) : undefined;
  try {
    await likeClone(folder);
    await mkdir(segmentsFolder);
    for (const block of page.blocks) {
      const program = programOf(block);
      if (program !== undefined) await writeFile(join(folder, program.path), local(program.text));
    }
    const script = ["set -meuo pipefail", `. ${join(import.meta.dirname, "prelude.sh")}`];
    for (const [number, segment] of segments.entries()) {
      await writeFile(join(segmentsFolder, `${number}.sh`), local(segment.code));
      script.push(callOf(number, segment));
    }
    script.push("over");
    const printed = async (number: number, stream: "out" | "err") =>
      readFile(join(segmentsFolder, `${number}.${stream}`), "utf8").catch(() => "");
    const heard = async (): Promise<boolean> => {
      const shown = segments.map(async ({ background, printed: text }, number) =>
        background && text !== null
          ? showsRightly(local(text), await printed(number, "out"), "holds")
          : true,
      );
      return (await Promise.all(shown)).every(Boolean);
    };
    const env = {
      ...childEnv,
      PATH: `${dirname(process.execPath)}${delimiter}${childEnv.PATH}`,
      HOME: folder,
      TMPDIR: tmpdir(),
      LANG: "C.UTF-8",
      SEGMENTS: segmentsFolder,
      REDIS_PORT: String(ports["6379"]),
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONPATH: join(root, "packages/sdk-python/src"),
      JOBS_URL: `http://localhost:${ports["3001"]}`,
      HTTP_PORTS: `${ports["3001"]},${ports["6790"]}`,
      TCP_PORT: String(ports["6789"]),
      GRPC_PORT: String(ports["6791"]),
      WORKER_PORT: String(ports["3002"]),
    };
    const over = async (): Promise<void> => changes(segmentsFolder, heard);
    const { code, output } = await bash(script.join("\n"), folder, env, over);
    if (code !== 0) {
      const line = Number(await readFile(join(segmentsFolder, "line"), "utf8").catch(() => "0"));
      const number = segments.findIndex((segment) => segment.line === line);
      const told = `${await printed(number, "out")}${await printed(number, "err")}`.slice(-3000);
      throw new Error(`${page.path}:${line} ended with ${code}: ${output}\n${told}`);
    }
    const faults: string[] = [];
    for (const [number, { line, printed: shown, background }] of segments.entries()) {
      if (shown === null) continue;
      const told = await printed(number, "out");
      if (showsRightly(local(shown), told, background ? "holds" : "ends")) continue;
      const errors = await printed(number, "err");
      faults.push(`${page.path}:${line} shows\n${shown}\nbut it printed\n${told}${errors}`);
    }
    if (faults.length > 0) throw new Error(faults.join("\n"));
  } finally {
    await endGroups(join(segmentsFolder, "pids"));
    await redis?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** A page that starts none is about the server of the first page. */
function withServer(segments: readonly Segment[]): readonly Segment[] {
  const start = "npx -y pnpm@12 start\n";
  if (segments.some(({ background, code }) => background && code.includes(start.trim()))) {
    return segments;
  }
  return [{ line: 0, code: start, background: true, printed: null }, ...segments];
}

function callOf(number: number, { line, code, background, printed }: Segment): string {
  // Whether the page shows that something is refused.
  const refused = /"(?:success|ok)":\s*false/.test(printed ?? "");
  const awaited = /\bpnpm@12 start\b/.test(code)
    ? '"$SERVES"'
    : /^redis-server\b/.test(code)
      ? '"Ready to accept"'
      : /\bpnpm@12 worker\b/.test(code)
        ? '"worker is ready"'
        : "'.'";
  return background
    ? `background ${number} ${line} ${awaited}`
    : `REFUSED=${refused ? "yes" : "no"}\nforeground ${number} ${line}`;
}

function withPorts(text: string, ports: Ports): string {
  return text.replaceAll(
    /(\blocalhost[: ]|\b127\.0\.0\.1:|\b(?:listen|connect)\()(3001|6790|6789|6791|3002|6379|8080)\b/g,
    (_, before: string, port: string) => `${before}${ports[port]}`,
  );
}

async function likeClone(folder: string): Promise<void> {
  await cp(join(root, "package.json"), join(folder, "package.json"));
  await cp(join(root, "examples"), join(folder, "examples"), {
    recursive: true,
    filter: (path) => !path.endsWith("node_modules"),
  });
  await symlink(join(root, "examples/node_modules"), join(folder, "examples/node_modules"));
  for (const name of ["node_modules", "apps", "packages", "bench", "docs", "deploy"]) {
    await symlink(join(root, name), join(folder, name));
  }
}

async function freePorts(...names: string[]): Promise<Ports> {
  const ports: Record<string, number> = {};
  for (const name of names) {
    let port = takePort();
    while (!(await isFree(port))) port = takePort();
    ports[name] = port;
  }
  return ports;
}

function takePort(): number {
  const port = nextPort++;
  if (nextPort === LAST_PORT) nextPort = FIRST_PORT;
  return port;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "::", () => server.close(() => resolve(true)));
  });
}

/** Resolves once `isThere` does with true, which it is asked after each change in the folder, or after some time. */
async function changes(folder: string, isThere: () => Promise<boolean>): Promise<void> {
  const watcher = watch(folder);
  try {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        isThere().then((there) => (there ? resolve() : undefined), reject);
      };
      setTimeout(resolve, PATIENCE_MS);
      watcher.on("change", look);
      look();
    });
  } finally {
    watcher.close();
  }
}

/** `over`: what has to be awaited before all that runs in the background is ended. */
async function bash(
  script: string,
  cwd: string,
  env: Record<string, string>,
  over: () => Promise<void>,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn("bash", ["-c", script], {
    cwd,
    env,
    stdio: [
      "ignore",
      "pipe",
      "pipe",
      ...Array.from({ length: 6 }, () => "ignore" as const),
      "pipe",
    ],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  }
  const line = child.stdio[OVER_FD as 3] as Duplex;
  line.on("error", () => undefined);
  line.once("data", () => void over().finally(() => line.end("\n")));
  const hangs = setTimeout(() => {
    output += `not over after ${LONGEST_MS} ms`;
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), 5000).unref();
  }, LONGEST_MS);
  const [code] = (await once(child, "exit")) as [number | null];
  clearTimeout(hangs);
  return { code, output };
}

/** What a page that failed has left. */
async function endGroups(file: string): Promise<void> {
  const pids = await readFile(file, "utf8").catch(() => "");
  for (const pid of pids.split("\n").filter((line) => line !== "")) {
    try {
      process.kill(-Number(pid), "SIGKILL");
    } catch {
      // It has ended, as it should have.
    }
  }
}
