import {
  type EventType,
  isHeard,
  type Job,
  type JobEvent,
  type Payload,
  type WebhookRecord,
} from "@jobyard/core";

/** Of a webhook that nobody waits for an event of: its owner tries it. */
export const TEST_EVENT = "webhook.test";

type Told = Omit<JobEvent, "type" | "cursor" | "tenant" | "queue"> & {
  /** null: of no queue in particular. */
  readonly queue: string | null;
  readonly type: EventType | typeof TEST_EVENT;
};

export function asksFor(webhook: WebhookRecord, event: JobEvent): boolean {
  const { tenant, queue, events, shape, createdAt } = webhook;
  return (
    isHeard(webhook) &&
    tenant === event.tenant &&
    (queue === null || queue === event.queue) &&
    (events.includes("*") || events.includes(event.type)) &&
    // What happened before it was made is not for it.
    event.at >= createdAt &&
    // For WellFlow a job has failed after all its retries.
    (shape !== "wellflow" || event.type !== "job.failed" || event.final === true)
  );
}

/** What is sent: JSON text. `job`: as it is now, null if it is gone. `maxBytes`: of data or a result in it. */
export function bodyText(shape: string, event: Told, job: Job | null, maxBytes = Infinity): string {
  const text = shape === "wellflow" ? wellflowText : flashqText;
  return text(event, job, maxBytes);
}

function flashqText(event: Told, job: Job | null, maxBytes: number): string {
  const { type, queue, jobId, at, error = null } = event;
  return (
    `{"event":"${type}","queue":${JSON.stringify(queue)},"job_id":${jobId},"timestamp":${at}` +
    `,"data":${flashqData(event, job, maxBytes)},"error":${JSON.stringify(error)}}`
  );
}

function flashqData(
  { type, progress, message = null, final }: Told,
  job: Job | null,
  maxBytes: number,
): string {
  switch (type) {
    case "job.pushed":
      return job === null ? "null" : payloadText(job.id, "data", job.data, maxBytes);
    case "job.completed":
      return job === null ? "null" : payloadText(job.id, "result", job.result, maxBytes);
    case "job.progress":
      return JSON.stringify({ progress, message });
    case "job.failed": {
      const runs =
        job === null ? {} : { attempts: job.attemptsMade, max_attempts: job.maxAttempts };
      return JSON.stringify({ final: final ?? false, ...runs });
    }
    default:
      return "{}";
  }
}

function wellflowText(event: Told, job: Job | null, maxBytes: number): string {
  const { type, queue, jobId, at, error } = event;
  const about =
    jobId === null
      ? { queue }
      : { jobId: String(jobId), queue, name: job?.name ?? queue, ...(error && { error }) };
  const fields = JSON.stringify(about);
  const result =
    type === "job.completed" && job !== null
      ? `${fields.slice(0, -1)},"result":${payloadText(job.id, "result", job.result, maxBytes)}}`
      : fields;
  return `{"event":"${type}","timestamp":"${new Date(at).toISOString()}","data":${result}}`;
}

/** What is long is told by where it can be read. */
function payloadText(
  id: number,
  part: "data" | "result",
  payload: Payload | null,
  maxBytes: number,
): string {
  if (payload === null) return "null";
  const bytes = typeof payload === "string" ? Buffer.byteLength(payload) : payload.bytes;
  if (typeof payload === "string" && bytes <= maxBytes) return payload;
  return JSON.stringify({ href: `/api/native/jobs/${id}/${part}`, bytes });
}
