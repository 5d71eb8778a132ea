import {
  scheduledJob,
  type NewJob,
  parseSchedule,
  previewRuns,
  QueueError,
  type ScheduleRecord,
  type TenantQueue,
} from "@jobyard/core";
import { createRequire } from "node:module";
import type Cronstrue from "cronstrue/i18n.js";
import type { ApiContext, DialectDeps } from "../../../dialect.ts";
import type { Handle } from "../../../operations.ts";
import { defined, epochOf, iso, isoOrNull, newJob } from "../mapping.ts";
import type { scheduleOperations } from "../operations/schedules.ts";
import { answer, bodyOf, scopeOf } from "../requests.ts";
import * as schemas from "../schemas/schedules.ts";

// How a default export of CommonJS is imported depends on who imports it.
const { default: cronstrue } = createRequire(import.meta.url)(
  "cronstrue/i18n.js",
) as typeof Cronstrue;

/** A job's data, and what surrounds it. */
const MAX_SCHEDULE_BYTES = 2_000_000;

export function scheduleRoutes(deps: DialectDeps): Record<keyof typeof scheduleOperations, Handle> {
  const { queue } = deps;

  return {
    async listSchedules(c) {
      const schedules = await scopeOf(c, queue).schedules();
      return answer(c, { items: schedules.map(scheduleView) });
    },

    async addSchedule(c) {
      const jobs = scopeOf(c, queue);
      const { name, job, ...body } = await bodyOf(c, schemas.newSchedule, MAX_SCHEDULE_BYTES);
      const input = { ...defined(body), job: newJob(job), via: "native" };
      return answer(c, scheduleView(await jobs.putSchedule(name, input, "new")), 201);
    },

    async previewSchedule(c) {
      const { cron, timezone, count, from } = await bodyOf(c, schemas.previewBody);
      const after = from === undefined ? queue.clock.now() : epochOf(from);
      const runs = previewRuns(parseSchedule({ cron, timezone }), after, count);
      const local = clockOf(timezone);
      return answer(c, {
        words: wordsOf(cron),
        runs: runs.map((at) => ({ at: iso(at), local: local(at) })),
      });
    },

    async getSchedule(c) {
      return answer(c, scheduleView(await found(scopeOf(c, queue), c)));
    },

    async updateSchedule(c) {
      const jobs = scopeOf(c, queue);
      const { name } = await found(jobs, c);
      const { job, ...body } = await bodyOf(c, schemas.schedulePatch, MAX_SCHEDULE_BYTES);
      const input = { ...defined(body), ...(job !== undefined && { job: newJob(job) }) };
      return answer(c, scheduleView(await jobs.putSchedule(name, input, "existing")));
    },

    async removeSchedule(c) {
      const name = c.req.param("name") ?? "";
      await scopeOf(c, queue).deleteSchedule(name);
      return answer(c, { name });
    },

    async runSchedule(c) {
      const jobs = scopeOf(c, queue);
      const schedule = await found(jobs, c);
      const id = await queue.of(jobs.home).add(scheduledJob(schedule));
      return answer(c, { id: String(id) }, 201);
    },
  };
}

/** By its name: of the caller's own tenant. @throws QueueError SCHEDULE_NOT_FOUND */
async function found(jobs: TenantQueue, c: ApiContext): Promise<ScheduleRecord> {
  const name = c.req.param("name") ?? "";
  const schedules = await jobs.schedules();
  const schedule = schedules.find((one) => one.name === name && one.tenant === jobs.home);
  if (schedule !== undefined) return schedule;
  throw new QueueError("SCHEDULE_NOT_FOUND", `Schedule ${name.slice(0, 64)} not found`);
}

function scheduleView(schedule: ScheduleRecord) {
  const { name, tenant, cron, timezone, enabled, description, queue, template, via } = schedule;
  const { origin: _, ...job } = JSON.parse(template) as NewJob;
  return {
    name,
    tenant,
    cron,
    timezone,
    words: wordsOf(cron),
    enabled,
    description,
    queue,
    job,
    createdAt: iso(schedule.createdAt),
    nextRunAt: isoOrNull(schedule.nextRun),
    lastRunAt: isoOrNull(schedule.lastRun),
    addedVia: via,
  };
}

const INTERVAL = /^\s*\*\/(\d+)\s*$/;

function wordsOf(cron: string): { readonly en: string; readonly es: string } {
  const seconds = INTERVAL.exec(cron)?.[1];
  if (seconds !== undefined) {
    return { en: `Every ${seconds} seconds`, es: `Cada ${seconds} segundos` };
  }
  const options = { use24HourTimeFormat: true, throwExceptionOnParseError: false };
  return {
    en: cronstrue.toString(cron, { ...options, locale: "en" }),
    es: cronstrue.toString(cron, { ...options, locale: "es" }),
  };
}

/** Moments as ISO 8601 in a time zone, with its offset. */
function clockOf(timezone: string): (at: number) => string {
  const format = new Intl.DateTimeFormat("sv-SE", {
    timeZone: timezone,
    dateStyle: "short",
    timeStyle: "medium",
  });
  const offset = new Intl.DateTimeFormat("en-US", {
    timeZone: timezone,
    timeZoneName: "longOffset",
  });
  return (at) => {
    const named = offset.formatToParts(at).find(({ type }) => type === "timeZoneName");
    const shift = named?.value.replace(/^GMT/, "") ?? "";
    return `${format.format(at).replace(" ", "T")}${shift === "" ? "+00:00" : shift}`;
  };
}
