import type { Clock } from "./clock.ts";
import { QueueError, validationError } from "./errors.ts";
import { encodeJson } from "./json.ts";
import type { JobSpec, QueueAdapter, Schedule, ScheduleRecord } from "./queue-adapter.ts";
import { ALL_TENANTS } from "./queue-adapter.ts";
import type { NewJob } from "./queue.ts";
import { dueRun, nextRun, parseSchedule } from "./schedules.ts";

export interface ScheduleInput {
  /** 5 or 6 fields. */
  readonly cron?: string;
  /** IANA name; default UTC. */
  readonly timezone?: string;
  readonly enabled?: boolean;
  readonly description?: string | null;
  /** What to add each time; of an existing schedule, also what is made of what it adds so far. */
  readonly job?: NewJob | ((soFar: NewJob) => NewJob);
  /** Which interface made it. */
  readonly via?: string;
}

interface SchedulerOptions {
  readonly adapter: QueueAdapter;
  readonly clock: Clock;
  /** Refuses a job that could not be added. */
  readonly check: (tenant: string, job: NewJob) => void;
  readonly specOf: (tenant: string, job: NewJob) => Promise<JobSpec>;
  /** A job that was not added after all. */
  readonly discard: (job: JobSpec) => Promise<void>;
  readonly onError: (error: unknown, doing: string) => void;
}

/** Where other processes change schedules too, they are looked at anew so often, ms. */
const LOOK_MS = 5000;
/** After a failure of the store, ms. */
const AGAIN_MS = 1000;
/** Each try that fails is another's that succeeded. */
const PUT_TRIES = 100;

/**
 * Adds the jobs of recurring schedules when they are due, behind one timer. Any number of processes may do so: the
 * engine lets one of them through for each due time.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  #running = false;
  #callOff: () => void = () => undefined;
  #fired: Promise<void> = Promise.resolve();

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#running = true;
    await this.check();
  }

  stop(): void {
    this.#running = false;
    this.#callOff();
  }

  /**
   * Creates or changes a schedule. What somebody else changes or fires meanwhile is looked at again, so that no field is
   * lost and no due time put back that was served.
   */
  async put(
    tenant: string,
    name: string,
    input: ScheduleInput,
    expect: "new" | "existing" | undefined,
  ): Promise<ScheduleRecord> {
    const { adapter } = this.#options;
    for (let tries = 0; tries < PUT_TRIES; tries++) {
      const old = (await adapter.listSchedules({ tenant })).find((s) => s.name === name);
      if (old === undefined && expect === "existing") {
        throw new QueueError("SCHEDULE_NOT_FOUND", `Schedule ${name} not found`);
      }
      if (old !== undefined && expect === "new") {
        throw new QueueError("DUPLICATE_SCHEDULE", `There is a schedule named ${name} already`);
      }
      const schedule = this.#changed(tenant, name, old, input);
      const version = await adapter.putSchedule({ schedule, replaces: old?.version ?? null });
      if (version === null) continue;
      void this.check();
      return { ...schedule, version };
    }
    throw new QueueError("UNAVAILABLE", `Schedule ${name} is being changed by many at once`, {
      retryAfterMs: AGAIN_MS,
    });
  }

  #changed(
    tenant: string,
    name: string,
    old: ScheduleRecord | undefined,
    input: ScheduleInput,
  ): Schedule {
    const { clock, check } = this.#options;
    const cron = input.cron ?? old?.cron;
    if (cron === undefined)
      throw validationError([{ field: "cron", message: "Required field missing" }]);
    const timezone = input.timezone ?? old?.timezone ?? "UTC";
    const parsed = parseSchedule({ cron, timezone });
    const soFar = old === undefined ? undefined : (JSON.parse(old.template) as NewJob);
    const job = typeof input.job === "function" ? soFar && input.job(soFar) : (input.job ?? soFar);
    if (job === undefined)
      throw validationError([{ field: "job", message: "Required field missing" }]);
    // What cannot be added now would fail at every due time.
    check(tenant, job);
    const now = clock.now();
    const enabled = input.enabled ?? old?.enabled ?? true;
    const moved =
      old === undefined ||
      old.cron !== cron ||
      old.timezone !== timezone ||
      old.enabled !== enabled;
    return {
      tenant,
      name,
      cron,
      timezone,
      enabled,
      description: input.description === undefined ? (old?.description ?? null) : input.description,
      queue: job.queue,
      template: encodeJson(job, "job"),
      via: input.via ?? old?.via ?? "core",
      createdAt: old?.createdAt ?? now,
      nextRun: !enabled ? null : moved ? nextRun(parsed, now) : old.nextRun,
      lastRun: old?.lastRun ?? null,
    };
  }

  /** Fires what is due and plans the next look. Calls made meanwhile wait for their turn. */
  check(): Promise<void> {
    this.#fired = this.#fired.then(() => this.#check());
    return this.#fired;
  }

  async #check(): Promise<void> {
    const { adapter, clock, onError } = this.#options;
    if (!this.#running) return;
    let next = adapter.capabilities.processes === "one" ? Infinity : clock.now() + LOOK_MS;
    try {
      for (const schedule of await adapter.listSchedules({ tenant: ALL_TENANTS })) {
        if (!schedule.enabled || schedule.nextRun === null) continue;
        const at = schedule.nextRun <= clock.now() ? await this.#fire(schedule) : schedule.nextRun;
        if (at !== null) next = Math.min(next, at);
      }
    } catch (error) {
      onError(error, "look at schedules");
      next = Math.min(next, clock.now() + AGAIN_MS);
    }
    this.#callOff();
    if (this.#running && next !== Infinity) this.#callOff = clock.at(next, () => void this.check());
  }

  /** Answers with the next due time. */
  async #fire(schedule: ScheduleRecord): Promise<number | null> {
    const { adapter, clock, specOf, discard, onError } = this.#options;
    const { tenant, name } = schedule;
    let due: ReturnType<typeof dueRun> = null;
    try {
      const parsed = parseSchedule(schedule);
      due = dueRun({ schedule: parsed, nextRun: schedule.nextRun, now: clock.now() });
      if (due === null) return schedule.nextRun;
      const job = await specOf(tenant, scheduledJob(schedule));
      let added = false;
      try {
        const fire = { tenant, name, due: due.due, nextRun: due.next, job };
        const outcome = await adapter.fireSchedule(fire);
        added = typeof outcome === "number";
        if (outcome instanceof QueueError) onError(outcome, `add the job of schedule ${name}`);
      } finally {
        if (!added) await discard(job);
      }
      return due.next;
    } catch (error) {
      onError(error, `fire schedule ${name}`);
      // What the job is refused for will not be over in a second.
      const hopeless = error instanceof QueueError && error.code !== "UNAVAILABLE";
      return hopeless && due !== null ? due.next : clock.now() + AGAIN_MS;
    }
  }
}

/** What a schedule adds, now or when it is due. */
export function scheduledJob({ name, via, template }: ScheduleRecord): NewJob {
  const job = JSON.parse(template) as NewJob;
  return { ...job, origin: { via, ...job.origin, schedule: name } };
}
