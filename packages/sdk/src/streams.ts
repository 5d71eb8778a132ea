import { JobyardError } from "./errors.ts";
import { pause } from "./http.ts";
import type { Native, Query, Schemas } from "./native.ts";

/** `gap`: events were lost to this reader, so look at what you follow. */
export type JobEvent =
  | (Schemas["Event"] & { readonly type: Exclude<Schemas["Event"]["type"], "gap"> })
  | { readonly type: "gap" };

export type Progress = Schemas["ActionProgress"];

export interface WatchOptions extends Query<"streamEvents"> {
  readonly signal?: AbortSignal;
}

/** Server-sent events come with a heartbeat every 15 s: a connection silent for longer is dead. */
const SILENCE_MS = 45_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/** Events as they happen; goes on where it was when the connection is lost. Ends with the signal or the loop. */
export async function* watch(
  native: Native,
  { signal, after, ...query }: WatchOptions,
): AsyncGenerator<JobEvent, void, undefined> {
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
        "streamEvents",
        { query },
        {
          signal: signal ? AbortSignal.any([signal, silence.signal]) : silence.signal,
          headers: last === undefined ? {} : { "Last-Event-ID": last },
        },
      );
      // Whatever happened since the last connection began is unknown: no event has told where that was.
      if (connections > 0 && last === undefined) yield { type: "gap" };
      heard();
      for await (const { id, event, data } of messagesOf(response, heard)) {
        failures = 0;
        if (event === "dropped") break;
        if (event === "gap") yield { type: "gap" };
        else if (data !== "") {
          last = id ?? last;
          yield JSON.parse(data) as JobEvent;
        }
      }
    } catch (error) {
      if (signal?.aborted === true) return;
      if (error instanceof JobyardError && error.status >= 400 && error.status < 500) throw error;
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** failures++, LONGEST_PAUSE_MS);
    try {
      await pause(pauseMs, signal);
    } catch {
      return;
    }
  }
}

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
