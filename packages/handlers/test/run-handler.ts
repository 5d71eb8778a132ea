import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Handler,
  HandlerError,
  type HandlerContext,
  type ProgressReport,
} from "@jobyard/core";
import { afterAll, expect } from "vitest";
import { Storage, type StorageOptions } from "../src/storage.ts";

export const TENANT = "acme";

/** What a handler's run left behind. */
export interface Run {
  readonly result: Record<string, unknown>;
  readonly lines: string[];
  readonly reports: ProgressReport[];
  tokens: number;
}

export interface RunOptions {
  readonly jobId?: number;
  readonly attempt?: number;
  readonly tenant?: string;
  readonly signal?: AbortSignal;
}

const folders: string[] = [];
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

/** Gone after the file's last test. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "handlers-"));
  folders.push(folder);
  return folder;
}

/** A storage in a folder of its own. */
export async function newStorage(options: Omit<StorageOptions, "root"> = {}): Promise<Storage> {
  return new Storage({ root: await newFolder(), ...options });
}

/** Runs a handler as the worker does: data and result go through JSON and the type's schemas. */
export async function runHandler(
  handler: Handler,
  data: object,
  { jobId = 1, attempt = 1, tenant = TENANT, signal }: RunOptions = {},
): Promise<Run> {
  const run: Run = { result: {}, lines: [], reports: [], tokens: 0 };
  const context: HandlerContext<unknown> = {
    data: handler.type.data.parse(JSON.parse(JSON.stringify(data))),
    signal: signal ?? new AbortController().signal,
    attempt,
    job: { id: jobId, tenant, queue: handler.type.name, name: null },
    progress: (report) => void run.reports.push(report),
    log: (line) => void run.lines.push(line),
    spend: (tokens) => void (run.tokens += tokens),
  };
  const value = await handler.run(context as never);
  const parsed = handler.type.result.parse(JSON.parse(JSON.stringify(value)));
  Object.assign(run.result, parsed);
  return run;
}

/** Expects the run to fail with that code; `dataFault`: never to be tried again. */
export async function expectFailure(
  run: Promise<unknown>,
  expected: { readonly code: string; readonly dataFault: boolean },
): Promise<HandlerError> {
  const error = await run.then(
    () => null,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(HandlerError);
  const { code, dataFault } = error as HandlerError;
  expect({ code, dataFault }).toEqual(expected);
  return error as HandlerError;
}
