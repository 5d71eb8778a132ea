import { randomUUID } from "node:crypto";
import type { Payload } from "@jobyard/core";
import type { Logger } from "@jobyard/core/process";
import type { z } from "zod";
import { audit } from "../../audit.ts";
import { type Command, commands, execute, type Session } from "../../dialects/flashq/commands.ts";
import { type Refusal, refuse } from "../../dialects/flashq/errors.ts";
import {
  failureOf,
  flashqState,
  jobText,
  jobTexts,
  type LoadedJob,
  referenceText,
  wholePercent,
} from "../../dialects/flashq/mapping.ts";

/** A command of the line protocol that is carried out alone: claims, and what is grouped, is the connection's. */
export interface WireCommand {
  /** Whether it changes anything: what reads waits for the changes asked for before it. */
  readonly changes: boolean;
  /** Whether its answer holds what jobs carry, and so can be long. */
  readonly loads: boolean;
  /** Leaves a line in the audit log: what people do to queues, not the traffic of jobs. */
  readonly audited: boolean;
  /** Answers with the line, without its end. */
  readonly run: (call: WireCall) => Promise<string>;
}

export interface WireCall {
  readonly session: Session;
  readonly input: unknown;
  /** Of a payload in the answer. */
  readonly maxBytes: number;
}

function wire<Input extends z.ZodType, Output>(
  kind: "reads" | "loads" | "changes" | "audited",
  command: Command<Input, Output>,
  answer: (output: Output, call: WireCall) => string | Promise<string>,
): WireCommand {
  return {
    changes: kind === "changes" || kind === "audited",
    loads: kind === "loads",
    audited: kind === "audited",
    run: async (call) => answer(await execute(call.session, command, call.input), call),
  };
}

export const DONE = '{"ok":true}';

const done = (): string => DONE;
const ids = (numbers: readonly number[]): string => `{"ok":true,"ids":[${numbers.join()}]}`;
const count = (number: number): string => ids([number]);

function success(members: object): string {
  return JSON.stringify({ ok: true, ...members });
}

export function idText(id: number): string {
  return `{"ok":true,"id":${id}}`;
}

export function pulledText(job: LoadedJob): string {
  return `{"ok":true,"job":${jobText(job)}}`;
}

export function jobsText(
  jobs: readonly LoadedJob[],
  more: (job: LoadedJob) => string = () => "",
): string {
  let text = '{"ok":true,"jobs":[';
  let comma = "";
  const textOf = jobTexts();
  // Appended, not joined: it becomes one piece when it is sent.
  for (const job of jobs) {
    text += comma + textOf(job, more(job));
    comma = ",";
  }
  return `${text}]}`;
}

/** At least so many bytes. */
function sizeOf(payload: Payload): number {
  return typeof payload === "string" ? payload.length : payload.bytes;
}

function errorMember({ job }: LoadedJob): string {
  const error = failureOf(job);
  return error === undefined ? "" : `,"error":${JSON.stringify(error)}`;
}

export function refusalText({ error, existing_id }: Omit<Refusal, "fault">): string {
  return JSON.stringify({ ok: false, error, existing_id });
}

export const wireCommands: ReadonlyMap<string, WireCommand> = new Map([
  ["PUSHB", wire("changes", commands.pushBatch, ids)],
  ["ACKB", wire("changes", commands.ackBatch, count)],
  ["FAIL", wire("changes", commands.fail, done)],
  ["CANCEL", wire("audited", commands.cancel, done)],
  ["LOG", wire("changes", commands.log, done)],
  ["PROGRESS", wire("changes", commands.progress, done)],
  [
    "GETPROGRESS",
    wire("reads", commands.getProgress, (job) =>
      success({
        progress: { id: job.id, progress: wholePercent(job), message: job.progressMessage },
      }),
    ),
  ],
  [
    "GETJOB",
    wire("loads", commands.getJob, async (job, call) => {
      if (job === null) return success({ job: null, state: null });
      const { data: payload } = job;
      const long = sizeOf(payload) > call.maxBytes;
      const data = long
        ? referenceText(`/jobs/${job.id}`, sizeOf(payload))
        : await call.session.queue.payloads.read(payload);
      const found = { job, data };
      const state = flashqState(job.state);
      return `{"ok":true,"job":${jobText(found, errorMember(found))},"state":"${state}"}`;
    }),
  ],
  [
    "GETSTATE",
    wire("reads", commands.getState, ({ id, state }) => success({ id, state: flashqState(state) })),
  ],
  [
    "GETRESULT",
    wire("loads", commands.getResult, async ({ id, result }, { session, maxBytes }) => {
      if (result === null) return success({ id, result });
      const bytes = sizeOf(result);
      if (bytes > maxBytes) {
        const error = `the result has ${bytes} bytes; GET /jobs/${id}/result over HTTP has it`;
        return refusalText({ error: `Payload too large: ${error}` });
      }
      return `{"ok":true,"id":${id},"result":${await session.queue.payloads.read(result)}}`;
    }),
  ],
  ["DLQ", wire("loads", commands.dlq, (jobs) => jobsText(jobs, errorMember))],
  // It looks at the jobs first.
  ["RETRYDLQ", { ...wire("audited", commands.retryDlq, count), changes: false }],
  ["RATELIMIT", wire("audited", commands.rateLimit, done)],
  ["RATELIMITCLEAR", wire("audited", commands.clearRateLimit, done)],
  ["SETCONCURRENCY", wire("audited", commands.setConcurrency, done)],
  ["CLEARCONCURRENCY", wire("audited", commands.clearConcurrency, done)],
  ["PAUSE", wire("audited", commands.pause, done)],
  ["RESUME", wire("audited", commands.resume, done)],
  ["LISTQUEUES", wire("reads", commands.listQueues, (queues) => success({ queues }))],
  ["CRON", wire("audited", commands.cron, done)],
  ["CRONDELETE", wire("audited", commands.deleteCron, done)],
  ["CRONLIST", wire("reads", commands.listCrons, (crons) => success({ crons }))],
  ["HEARTBEAT", wire("changes", commands.heartbeat, done)],
  ["STATS", wire("reads", commands.stats, success)],
  ["METRICS", wire("reads", commands.metrics, (metrics) => success({ metrics }))],
]);

/** Answers with the line, without its end; what is audited leaves its line there. */
export async function perform(
  command: WireCommand,
  asked: WireCall & { readonly cmd: string; readonly input: object; readonly log: Logger },
): Promise<string> {
  const { session, cmd, input, log } = asked;
  if (!command.audited) return command.run(asked);
  const { queue, name, id } = input as Record<string, unknown>;
  const target = String(queue ?? name ?? id).slice(0, 256);
  const call = {
    requestId: randomUUID(),
    operation: `tcp.${cmd}`,
    target: target.toWellFormed(),
  };
  try {
    const text = await command.run(asked);
    audit(log, session.caller, { ...call, outcome: "done" });
    return text;
  } catch (error) {
    const { fault } = refuse(error, log);
    audit(log, session.caller, { ...call, outcome: `refused: ${fault}` });
    throw error;
  }
}
