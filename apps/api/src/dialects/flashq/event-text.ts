import type { JobEvent } from "@jobyard/core";
import { textOf } from "../../transports/sse.ts";

/** An event as WebSocket messages and SSE data have it: JSON text. */
export function eventText(event: JobEvent): string {
  const { type, queue, jobId, at, error } = event;
  return (
    `{"event_type":"${type}","queue":"${queue}","job_id":${jobId},"timestamp":${at}` +
    `,"data":${dataText(event)},"error":${error === undefined ? "null" : JSON.stringify(error)}}`
  );
}

/** What an event tells beyond the job: who wants more reads the job. */
function dataText({ type, progress, message, final }: JobEvent): string {
  if (type === "job.progress") return JSON.stringify({ progress, message: message ?? null });
  if (type === "job.failed") return `{"final":${final ?? false}}`;
  return "{}";
}

/** The same as messages of a server-sent event stream. */
export function streamBytes(events: readonly JobEvent[]): Buffer {
  const messages = events.map((event) =>
    textOf({ id: event.cursor, event: event.type, data: eventText(event) }),
  );
  return Buffer.from(messages.join(""));
}
