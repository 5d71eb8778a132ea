import type { Config } from "./config.ts";
import type { QueueAdapter } from "./queue-adapter.ts";
import { dataQueues } from "./queue-groups.ts";

/** Decides how fast jobs may be added. */
export interface Admission {
  /** Jobs of other queues may be added at any time. */
  readonly queues: ReadonlySet<string>;
  /** Counts up to `count` jobs that the tenant adds now (`whole`: all of them or none). */
  take(params: {
    readonly tenant: string;
    readonly count: number;
    readonly whole: boolean;
  }): Promise<{
    readonly taken: number;
    /** When the others may be tried again. */
    readonly retryAfterMs: number;
  }>;
  /** So many were counted, but not added after all. */
  giveBack(params: { readonly tenant: string; readonly count: number }): Promise<void>;
}

/** Data jobs of a tenant, a minute and an hour; undefined where neither is limited. */
export function dataJobsAdmission(
  adapter: QueueAdapter,
  { perMinute, perHour }: Config["limits"]["dataJobs"],
): Admission | undefined {
  const limits = [
    { name: "data-jobs-minute", points: perMinute, seconds: 60 },
    { name: "data-jobs-hour", points: perHour, seconds: 3600 },
  ];
  const allowances = limits
    .filter(({ points }) => points > 0)
    .map((limit) => adapter.allowance(limit));
  if (allowances.length === 0) return undefined;
  return {
    queues: new Set<string>(dataQueues),
    async take({ tenant, count, whole }) {
      let taken = count;
      let retryAfterMs = 0;
      for (const [i, allowance] of allowances.entries()) {
        const asked = taken;
        const answer = await allowance.take(tenant, asked, whole);
        taken = answer.taken;
        if (taken === asked) continue;
        retryAfterMs = answer.resetMs;
        await Promise.all(
          allowances.slice(0, i).map((earlier) => earlier.giveBack(tenant, asked - taken)),
        );
        if (taken === 0) break;
      }
      return { taken, retryAfterMs };
    },
    async giveBack({ tenant, count }) {
      await Promise.all(allowances.map((allowance) => allowance.giveBack(tenant, count)));
    },
  };
}
