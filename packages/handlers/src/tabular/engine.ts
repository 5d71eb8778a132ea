import { type ChildProcess, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { HandlerCrash, HandlerError } from "@jobyard/core";
import type { EngineAnswer, EngineTask } from "./engine.process.ts";

const entry = new URL(`./engine.process${extname(import.meta.url)}`, import.meta.url);

export const DEFAULT_MEMORY_MB = 384;
const MEMORY_CHECK_MS = 200;
/** Bytes of a page of memory on the machines that have /proc. */
const PAGE_BYTES = 4096;

export interface EngineRun {
  readonly signal: AbortSignal;
  /** Resident memory that the process may take, in MB. */
  readonly memoryMb: number;
  /** Percent. */
  readonly onProgress?: (progress: number, message: string) => void;
}

/**
 * Does a task in a process of its own, so that whatever a file holds, neither a crash nor its memory
 * concerns the worker. An abort kills it.
 *
 * @throws {HandlerError} as the task says; `OUT_OF_MEMORY` (a data fault) when it needs more than it may take
 * @throws {HandlerCrash} when the process died otherwise, or the signal's reason
 */
export async function runInEngine<Answer>(task: EngineTask, run: EngineRun): Promise<Answer> {
  const { signal, memoryMb, onProgress } = run;
  signal.throwIfAborted();
  const child = fork(entry, [], {
    execArgv: [...inheritedArguments(), `--max-old-space-size=${Math.round(memoryMb / 3)}`],
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    serialization: "advanced",
    env: environment(),
  });
  let complaint = "";
  child.stderr?.on("data", (chunk: Buffer) => (complaint = (complaint + chunk).slice(-2000)));
  let tooMuch = false;
  const watch = setInterval(() => {
    void residentMb(child).then((used) => {
      if (used <= memoryMb) return;
      tooMuch = true;
      child.kill("SIGKILL");
    });
  }, MEMORY_CHECK_MS);
  const kill = () => child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  try {
    return await new Promise<Answer>((resolve, reject) => {
      let answered = false;
      child.on("message", (message: EngineAnswer) => {
        if (message.kind === "progress") {
          onProgress?.(message.progress, message.message);
          return;
        }
        answered = true;
        if (message.kind === "done") {
          resolve(message.answer as Answer);
          return;
        }
        const { code, message: text, dataFault, stage } = message.error;
        reject(new HandlerError(code, text, { dataFault, ...(stage && { stage }) }));
      });
      child.on("error", (error) => reject(new HandlerCrash(error.message, { cause: error })));
      child.on("close", (code, signalled) => {
        if (answered) return;
        if (signal.aborted) reject(asError(signal.reason));
        else if (tooMuch || complaint.includes("JavaScript heap out of memory")) {
          const text = `The file needs more than the ${memoryMb} MB that a job may take`;
          reject(new HandlerError("OUT_OF_MEMORY", text, { dataFault: true }));
        } else {
          const how = signalled ?? `exit code ${code}`;
          reject(
            new HandlerCrash(`The file engine died: ${how} ${complaint.slice(0, 500)}`.trim()),
          );
        }
      });
      child.send(task);
    });
  } finally {
    clearInterval(watch);
    signal.removeEventListener("abort", kill);
    child.kill("SIGKILL");
  }
}

/** Options that decide which code is loaded; not what belongs to the one process (a debugger's port, watching). */
const LOADING = /^(?:-C|--conditions|--import)(?:=|$)/;

function inheritedArguments(): string[] {
  // An option's value may be the argument after it.
  return process.execArgv.filter(
    (argument, index, all) =>
      LOADING.test(argument) || /^(?:-C|--conditions|--import)$/.test(all[index - 1] ?? ""),
  );
}

/** The engine needs no settings, and secrets are not for it. */
function environment(): NodeJS.ProcessEnv {
  return { NODE_NO_WARNINGS: "1", TZ: "UTC" };
}

/** 0 where it cannot be told: then the process looks after itself. */
async function residentMb(child: ChildProcess): Promise<number> {
  try {
    const pages = (await readFile(`/proc/${child.pid}/statm`, "latin1")).split(" ")[1];
    return (Number(pages) * PAGE_BYTES) / 1e6;
  } catch {
    return 0;
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** What of a process's memory the database may plan with: the runtime and its buffers need the rest. */
export function databaseMemoryMb(memoryMb: number): number {
  return Math.max(64, Math.round(memoryMb * 0.4));
}
