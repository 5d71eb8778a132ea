import type { Job } from "@jobyard/sdk";
import { type Column, type Output, span, type Style } from "./output.ts";

type State = Job["state"];

const styles: Readonly<Record<State, Style | undefined>> = {
  waiting: undefined,
  delayed: "yellow",
  blocked: "yellow",
  active: "cyan",
  completed: "green",
  failed: "red",
  cancelled: "magenta",
};

/** How long ago for people, the moment itself for programs. */
export function age(out: Output, at: string | null | undefined): string | null {
  if (at == null) return null;
  if (!out.terminal) return at;
  const ms = Date.now() - Date.parse(at);
  return ms >= 0 ? `${span(ms)} ago` : `in ${span(-ms)}`;
}

export function jobColumns(out: Output): readonly Column<Job>[] {
  return [
    { title: "ID", value: ({ id }) => id },
    { title: "QUEUE", value: ({ queue }) => queue },
    { title: "NAME", value: ({ name }) => name },
    { title: "STATE", value: ({ state }) => state, style: ({ state }) => styles[state] },
    {
      title: "DONE",
      value: ({ progress }) => (out.terminal ? `${Math.floor(progress)} %` : progress),
      right: true,
    },
    { title: "RUNS", value: ({ attemptsMade, maxAttempts }) => `${attemptsMade}/${maxAttempts}` },
    { title: "ADDED", value: ({ createdAt }) => age(out, createdAt) },
    { title: "TOOK", value: tookText(out), right: true },
    { title: "ERROR", value: ({ error }) => error?.message ?? null, style: () => "red" },
  ];
}

function tookText(out: Output): (job: Job) => string | number | null {
  return ({ startedAt, finishedAt }) => {
    if (startedAt === null || finishedAt === null) return null;
    const ms = Date.parse(finishedAt) - Date.parse(startedAt);
    return out.terminal ? span(ms) : ms;
  };
}

/** One job for people. */
export function showJob(out: Output, job: Job): void {
  const { attemptsMade, maxAttempts, crashes, error } = job;
  out.fields({
    id: job.id,
    queue: job.queue,
    name: job.name,
    state: job.state,
    error: error?.message,
    progress: `${Math.floor(job.progress)} %`,
    message: job.progressMessage,
    runs: `${attemptsMade} of ${maxAttempts}${crashes === 0 ? "" : `, ${crashes} crashed`}`,
    added: job.createdAt,
    due: job.state === "delayed" ? job.runAt : null,
    started: job.startedAt,
    ended: job.finishedAt,
    worker: job.worker,
    priority: job.priority === 0 ? null : job.priority,
    unique: job.uniqueKey,
    tags: job.tags.join(", "),
    project: job.project,
    batch: job.batch,
    "depends on": job.dependsOn.join(", "),
    schedule: job.schedule,
    tenant: job.tenant === "default" ? null : job.tenant,
  });
  for (const [name, value, file] of [
    ["data", job.data, job.dataFile],
    ["result", job.result, job.resultFile],
  ] as const) {
    if (file !== undefined) {
      out.line(`${out.style("bold", name)}  ${file.bytes} bytes: jobs get ${job.id} --${name}`);
    } else if (value != null) {
      out.line(out.style("bold", name));
      // JSON.stringify escapes what could steer the terminal, but for these.
      out.line(JSON.stringify(value, null, 2).replaceAll(/[\u007F-\u009F]/g, "\uFFFD"));
    }
  }
}
