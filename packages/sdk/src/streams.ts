import { JobyardError } from "./errors.ts";
import { pause } from "./http.ts";
import type { Native, Query, Schemas } from "./native.ts";

/** `gap`: events were lost to this reader, so look at what you follow. */
export type JobEvent =
  | (Schemas["Event"] & { readonly type: Exclude<Schemas["Event"]["type"], "gap"> })
  | { readonly type: "gap" };

export type Progress = Schemas["ActionProgress"];

export interface StreamOptions {
  readonly signal?: AbortSignal;
  /** Told when a connection is made, and when it is lost; after a loss it is tried again by itself. */
  readonly onConnection?: (connected: boolean) => void;
}

export interface WatchOptions extends Query<"streamEvents">, StreamOptions {}

export interface ActivityOptions extends Query<"streamActivity">, StreamOptions {}

/** How many events there were in which queues; `gap`: it is not known. */
export type Activity =
  | (Schemas["Activity"] & { readonly type: "activity" })
  | { readonly type: "gap" };

/** Server-sent events come with a heartbeat every 15 s: a connection silent for longer is dead. */
const SILENCE_MS = 45_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** Events as they happen; goes on where it was when the connection is lost. Ends with the signal or the loop. */
export async function* watch(
  native: Native,
  { signal, onConnection, after, ...query }: WatchOptions,
): AsyncGenerator<JobEvent, void, undefined> {
  const options = { signal, onConnection, after };
  for await (const { event, data } of follow(native, "streamEvents", query, options)) {
    if (event === "gap") yield { type: "gap" };
    else yield JSON.parse(data) as JobEvent;
  }
}

/** As `watch`, but of counts. */
export async function* watchActivity(
  native: Native,
  { signal, onConnection, ...query }: ActivityOptions,
): AsyncGenerator<Activity, void, undefined> {
  const options = { signal, onConnection };
  for await (const { event, data } of follow(native, "streamActivity", query, options)) {
    if (event === "gap") yield { type: "gap" };
    else yield { type: "activity", ...(JSON.parse(data) as Schemas["Activity"]) };
  }
}

interface FollowOptions {
  readonly signal: AbortSignal | undefined;
  readonly onConnection: ((connected: boolean) => void) | undefined;
  readonly after?: string | undefined;
}

async function* follow(
  native: Native,
  operation: "streamEvents" | "streamActivity",
  query: object,
  { signal, onConnection, after }: FollowOptions,
): AsyncGenerator<Message, void, undefined> {
  let last = after;
  let failures = 0;
  for (let connections = 0; ; connections++) {
    const silence = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const heard = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
    };
    try {
      const response = await native.raw(
        operation,
        { query },
        {
          signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
          headers: last === undefined ? {} : { "Last-Event-ID": last },
        },
      );
      onConnection?.(true);
      // Whatever happened since the last connection began is unknown: no event has told where that was.
      if (connections > 0 && last === undefined) yield gap;
      heard();
      for await (const message of messagesOf(response, heard)) {
        failures = 0;
        if (message.event === "dropped") break;
        if (message.event !== "gap" && message.data === "") continue;
        last = message.id ?? last;
        yield message;
      }
    } catch (error) {
      if (signal?.aborted === true) return;
      if (error instanceof JobyardError && error.status >= 400 && error.status < 500) throw error;
    } finally {
      clearTimeout(timer);
      silence.abort();
      onConnection?.(false);
    }
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** failures++, LONGEST_PAUSE_MS);
    try {
      await pause(pauseMs, signal);
    } catch {
      return;
    }
  }
}

const gap: Message = { id: undefined, event: "gap", data: "" };

interface Message {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly data: string;
}

async function* messagesOf(response: Response, heard: () => void): AsyncGenerator<Message> {
  let id: string | undefined;
  let event: string | undefined;
  let data: string[] = [];
  for await (const line of linesOf(response, heard)) {
    if (line === "") {
      if (data.length > 0) yield { id, event, data: data.join("\n") };
      id = event = undefined;
      data = [];
      continue;
    }
    const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === "id") id = value;
    else if (field === "event") event = value;
    else if (field === "data") data.push(value);
  }
}

/** Reads to the last line of progress. @throws JobyardError where the action ended early */
export async function lastProgress(
  response: Response,
  onProgress: ((progress: Progress) => void) | undefined,
): Promise<Progress> {
  let last: Progress | undefined;
  for await (const line of linesOf(response)) {
    if (line === "") continue;
    last = JSON.parse(line) as Progress;
    onProgress?.(last);
  }
  if (last?.error != null) {
    const { code, message } = last.error;
    const { total, applied, refused } = last;
    throw new JobyardError(message, { code, details: { total, applied, refused } });
  }
  if (last?.done === true) return last;
  throw new JobyardError("The connection was lost before the end", {
    code: "NETWORK_ERROR",
    details: { ...last },
  });
}

async function* linesOf(response: Response, heard?: () => void): AsyncGenerator<string> {
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      heard?.();
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n/);
      rest = lines.pop() ?? "";
      yield* lines;
    }
    if (rest !== "") yield rest;
  } finally {
    // The reader may be left in the middle.
    reader.cancel().catch(() => undefined);
  }
}
