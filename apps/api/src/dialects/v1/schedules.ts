import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type NewJob, QueueError, type ScheduleRecord, type TenantQueue } from "@jobyard/core";
import { iso, newJob, typeOfQueue } from "./mapping.ts";
import type { ScheduleJob, ScheduleView } from "./schemas.ts";

/**
 * Makes a recurring job. Asked for again in the same words it is the one that is there already, so that a call whose
 * answer was lost can be repeated.
 * @throws QueueError DUPLICATE_SCHEDULE where the name is another one's
 */
export async function recurring(
  jobs: TenantQueue,
  asked: ScheduleJob & { readonly cron: string },
): Promise<ScheduleRecord> {
  const { cron, timezone = "UTC", name = nameOf(asked) } = asked;
  const job = newJob(asked);
  try {
    return await jobs.putSchedule(name, { cron, timezone, job, via: "v1" }, "new");
  } catch (error) {
    if (!(error instanceof QueueError) || error.code !== "DUPLICATE_SCHEDULE") throw error;
    const there = (await jobs.schedules()).find((schedule) => schedule.name === name);
    const same =
      there?.cron === cron && there.timezone === timezone && isTemplate(there.template, job);
    if (!same) throw error;
    return there;
  }
}

/** The same for the same words. */
function nameOf({ type, ...asked }: ScheduleJob): string {
  const digest = createHash("sha256").update(JSON.stringify(asked)).digest("hex");
  return `${type}-${digest.slice(0, 16)}`;
}

function isTemplate(template: string, job: NewJob): boolean {
  return isDeepStrictEqual(JSON.parse(template), JSON.parse(JSON.stringify(job)));
}

export function scheduleViewOf(schedule: ScheduleRecord): ScheduleView {
  const { name, queue, cron, timezone, enabled, nextRun, lastRun, createdAt } = schedule;
  return {
    name,
    type: typeOfQueue(queue),
    cron,
    timezone,
    enabled,
    nextRun: nextRun === null ? null : iso(nextRun),
    lastRun: lastRun === null ? null : iso(lastRun),
    createdAt: iso(createdAt),
  };
}
