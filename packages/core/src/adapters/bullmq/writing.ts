import {
  ANSWERS_KEPT_MS,
  isWell,
  type ScheduleRecord,
  type WebhookRecord,
} from "../../queue-adapter.ts";
import type {
  StoreBatch,
  StoredAnswer,
  StoredEvent,
  StoredJob,
  StoredPlace,
  StoredQueue,
  StoredRollup,
  StoredSecret,
} from "../../store-at-rest.ts";
import { encodeAnswer } from "./answers.ts";
import { encodeStored, laneName } from "./job-hash.ts";
import { scheduleKey } from "./records.ts";

type Args = readonly (string | number)[];

/** Ids whose lanes are kept together, as the scripts have it. */
const BUCKET = 1024;

/**
 * The script that writes a batch, and its arguments behind those of the step. `after`: of jobs, the last id that was
 * written before; `newest`: of the end of the jobs, the newest id there is; `now`: the engine's time.
 */
export function encodeBatch(
  { section, records }: StoreBatch,
  { after, newest, now }: { readonly after: number; readonly newest: number; readonly now: number },
): { readonly script: string; readonly args: Args } {
  if (section === "jobs") {
    return { script: "fill-jobs", args: jobs(records as StoredJob[], after, newest) };
  }
  if (section === "order") {
    const places = records as StoredPlace[];
    const args = places.flatMap(({ tenant, queue, id, priority }) => [
      laneName(tenant, queue),
      id,
      priority,
    ]);
    return { script: "fill-order", args };
  }
  const encode: Readonly<Record<typeof section, (record: never) => Args>> = {
    queues,
    rollups,
    schedules,
    webhooks,
    secrets,
    answers: (answer: StoredAnswer) => encodeStoredAnswer(answer, now),
    outbox,
  };
  const args = (records as never[]).flatMap(encode[section]);
  return { script: "fill-records", args: [section, ...args] };
}

function jobs(records: readonly StoredJob[], after: number, newest: number): Args {
  const args: (string | number)[] = [];
  const gone = goneIds(
    records.map(({ job }) => job.id),
    after,
    newest,
  );
  args.push(gone.size * 2);
  for (const [bucket, count] of gone) args.push(bucket, count);
  args.push(records.length);
  for (const record of records) encodeStored(record, args);
  return args;
}

/**
 * Ids that no job has (any more), by bucket, so that a bucket goes with the last of its jobs; only of buckets in which there
 * are jobs or will be. `newest`: with the end of the jobs, the newest id there is; else 0.
 */
function goneIds(ids: readonly number[], after: number, newest: number): Map<number, number> {
  const gone = new Map<number, number>();
  const bucketOf = (id: number): number => Math.floor(id / BUCKET);
  const add = (bucket: number, from: number, to: number): void => {
    if (to >= from) gone.set(bucket, (gone.get(bucket) ?? 0) + to - from + 1);
  };
  let before = after;
  for (const id of newest > 0 ? [newest + 1] : ids) {
    const bucket = bucketOf(id);
    if (before > 0 && bucketOf(before) === bucket) {
      add(bucket, before + 1, id - 1);
    } else {
      if (before > 0) add(bucketOf(before), before + 1, (bucketOf(before) + 1) * BUCKET - 1);
      add(bucket, Math.max(1, bucket * BUCKET), id - 1);
    }
    before = id;
  }
  return gone;
}

function queues(record: StoredQueue): Args {
  const { tenant, queue, typed, paused, rateLimit, concurrency, indexedPaths } = record;
  const flags = [typed ? 1 : 0, paused ? 1 : 0, rateLimit ?? "", concurrency ?? ""];
  return [laneName(tenant, queue), ...flags, JSON.stringify(indexedPaths)];
}

function rollups({ tenant, queue, span, at, level, project, sums }: StoredRollup): Args {
  const field = `${span.slice(0, 1)}${at}|${level}|${project}`;
  return [laneName(tenant, queue), field, sums.map((sum) => sum ?? "-").join(" ")];
}

function schedules({ version, lastRun, ...stored }: ScheduleRecord): Args {
  const { tenant, name, enabled, nextRun } = stored;
  const due = enabled ? (nextRun ?? "") : "";
  return [scheduleKey(tenant, name), tenant, JSON.stringify(stored), due, lastRun ?? "", version];
}

function webhooks({ id, createdAt, health, ...stored }: WebhookRecord): Args {
  const { tenant } = stored;
  return [
    id,
    tenant,
    createdAt,
    JSON.stringify(stored),
    isWell(health) ? "" : JSON.stringify(health),
  ];
}

function secrets({ tenant, queue, secret }: StoredSecret): Args {
  return [`${tenant} ${queue}`, secret];
}

function encodeStoredAnswer({ tenant, key, at, outcome, note }: StoredAnswer, now: number): Args {
  const until = at + ANSWERS_KEPT_MS;
  const left = until - now;
  return left <= 0 ? [] : [`${tenant}:${key}`, encodeAnswer({ outcome, note }, until), left];
}

function outbox({ type, at, jobId, tenant, queue, ...more }: StoredEvent): Args {
  const event = [type, at, jobId ?? 0, laneName(tenant, queue)].join("|");
  return [event, Object.keys(more).length === 0 ? "" : JSON.stringify(more)];
}
