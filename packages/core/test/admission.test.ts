import { describe, expect, test, vi } from "vitest";
import { type Admission, dataJobsAdmission } from "../src/admission.ts";
import { QueueError } from "../src/errors.ts";
import type { Outcome, QueueAdapter } from "../src/queue-adapter.ts";
import type { NewJob } from "../src/queue.ts";
import type { Allowance } from "../src/rate-limiter.ts";
import { Desk } from "./desk.ts";

const job = (rest: Partial<NewJob> = {}): NewJob => ({ queue: "slow", data: {}, ...rest });
const large = (rest: Partial<NewJob> = {}): NewJob => ({
  queue: "sentiment_analysis_batch",
  data: { texts: Array.from({ length: 110 }, () => "x".repeat(10_000)) },
  ...rest,
});

/** So many jobs of two queues, and no more. */
class Budget implements Admission {
  readonly queues = new Set(["slow", "sentiment_analysis_batch"]);
  readonly asked: unknown[] = [];
  left: number;

  constructor(left: number) {
    this.left = left;
  }

  take = async (params: { tenant: string; count: number; whole: boolean }) => {
    this.asked.push(params);
    const { count, whole } = params;
    const taken = whole && count > this.left ? 0 : Math.min(count, this.left);
    this.left -= taken;
    return { taken, retryAfterMs: 7000 };
  };

  giveBack = async ({ count }: { count: number }) => {
    this.left += count;
  };
}

const told = (outcomes: readonly Outcome<number>[]): unknown[] =>
  outcomes.map((one) => (one instanceof QueueError ? one.code : typeof one));

async function refusal(call: Promise<unknown>): Promise<QueueError> {
  const outcome = await call.catch((error: unknown) => error);
  if (!(outcome instanceof QueueError)) throw new Error(`not refused: ${JSON.stringify(outcome)}`);
  return outcome;
}

describe("jobs that may be added so fast only", () => {
  test("are asked for once a call; the first ones pass, the others are refused in their places", async () => {
    const admission = new Budget(2);
    const desk = await Desk.open({ admission });
    const jobs = [job({ queue: "fast" }), job(), job(), job({ priority: 0.5 }), job(), job()];
    const outcomes = await desk.queue.of("acme").addMany(jobs, { atomic: false });
    expect(told(outcomes)).toEqual([
      "number",
      "number",
      "number",
      "VALIDATION",
      "RATE_LIMITED",
      "RATE_LIMITED",
    ]);
    expect((outcomes[5] as QueueError).details).toEqual({ index: 5, retryAfterMs: 7000 });
    expect(admission.asked).toEqual([{ tenant: "acme", count: 4, whole: false }]);
    expect(await desk.ours.add(job({ queue: "fast" }))).toBeTypeOf("number");
    expect(admission.asked).toHaveLength(1);
    expect((await refusal(desk.ours.add(job()))).code).toBe("RATE_LIMITED");
  });

  test("are refused whole in an atomic call, by the first one's place, and not counted", async () => {
    const admission = new Budget(2);
    const desk = await Desk.open({ admission });
    const jobs = [job({ queue: "fast" }), job(), large(), job()];
    const error = await refusal(desk.ours.addMany(jobs, { atomic: true }));
    expect(error).toMatchObject({
      code: "RATE_LIMITED",
      details: { index: 1, retryAfterMs: 7000 },
    });
    expect(await desk.ours.queues()).toEqual([]);
    expect(await desk.files()).toEqual([]);
    expect(admission.left).toBe(2);
    await desk.ours.addMany(jobs.slice(0, 3), { atomic: true });
    expect(admission.left).toBe(0);
  });

  test("take those along that depend on them, and count what was added alone", async () => {
    const admission = new Budget(4);
    const desk = await Desk.open({ admission });
    await desk.ours.add(job({ uniqueKey: "k" }));
    const jobs = [
      job({ dependsOn: [{ sibling: 5 }] }),
      job({ uniqueKey: "k" }),
      large(),
      large({ dependsOn: [{ sibling: 4 }] }),
      job({ queue: "fast", dependsOn: [{ sibling: 3 }] }),
      job(),
    ];
    // Of 0, 1, 2, 3 and 5 the first three pass; then 0 has nobody to wait for, and 1 is a duplicate.
    expect(told(await desk.ours.addMany(jobs.with(3, large()), { atomic: false }))).toEqual([
      "DEPENDENCY_NOT_FOUND",
      "DUPLICATE_JOB",
      "number",
      "RATE_LIMITED",
      "DEPENDENCY_NOT_FOUND",
      "RATE_LIMITED",
    ]);
    expect(admission.left).toBe(2);
    expect(await desk.files()).toHaveLength(1);
  });

  test("are not counted when the store fails, or when their call was answered before", async () => {
    const admission = new Budget(3);
    const desk = await Desk.open({ admission });
    const unavailable = new QueueError("UNAVAILABLE", "disk full");
    vi.spyOn(desk.adapter, "enqueue").mockRejectedValueOnce(unavailable);
    await refusal(desk.ours.add(job()));
    expect(admission.left).toBe(3);

    const key = { idempotencyKey: "k" };
    const ids = await Promise.all([1, 2, 3].map(() => desk.ours.add(job(), key)));
    expect(new Set(ids).size).toBe(1);
    expect(admission.left).toBe(2);
    admission.left = 0;
    expect(await desk.ours.add(job(), key)).toBe(ids[0]);
    // Nobody knows whether it was added.
    admission.left = 1;
    const uncertain = new QueueError("UNAVAILABLE", "cut off", { uncertain: true });
    vi.spyOn(desk.adapter, "enqueue").mockRejectedValueOnce(uncertain);
    await refusal(desk.ours.add(job()));
    expect(admission.left).toBe(0);
  });

  test("leave no file behind when they cannot be counted", async () => {
    const admission = new Budget(3);
    const desk = await Desk.open({ admission });
    vi.spyOn(admission, "take").mockRejectedValueOnce(new Error("away"));
    await expect(desk.ours.add(large())).rejects.toThrow("away");
    expect(await desk.files()).toEqual([]);
  });
});

describe("data jobs", () => {
  /** Windows that never end. */
  function windows(perMinute: number, perHour: number) {
    const used: Record<string, number> = {};
    const allowance = ({
      name,
      points,
      seconds,
    }: Parameters<QueueAdapter["allowance"]>[0]): Allowance => ({
      async take(key, count, whole) {
        const left = points - (used[name] ??= 0);
        const taken = left >= count ? count : whole ? 0 : left;
        used[name] += taken;
        expect(key).toBe("acme");
        return { taken, resetMs: seconds * 1000 };
      },
      async giveBack(_, count) {
        used[name] = (used[name] ?? 0) - count;
      },
    });
    const adapter = { allowance } as unknown as QueueAdapter;
    const limits = { perMinute, perHour, maxUnfinished: 0, maxRunning: 0 };
    return { used, admission: dataJobsAdmission(adapter, limits) };
  }
  const take = (admission: Admission | undefined, count: number, whole = false) =>
    admission?.take({ tenant: "acme", count, whole });

  test("are limited by the minute and by the hour, whichever is less, and count in both alike", async () => {
    const { used, admission } = windows(5, 8);
    expect(await take(admission, 4)).toMatchObject({ taken: 4 });
    expect(await take(admission, 4)).toEqual({ taken: 1, retryAfterMs: 60_000 });
    expect(used).toEqual({ "data-jobs-minute": 5, "data-jobs-hour": 5 });
    used["data-jobs-minute"] = 0;
    expect(await take(admission, 4, true)).toEqual({ taken: 0, retryAfterMs: 3_600_000 });
    expect(await take(admission, 4)).toEqual({ taken: 3, retryAfterMs: 3_600_000 });
    expect(used).toEqual({ "data-jobs-minute": 3, "data-jobs-hour": 8 });
    await admission?.giveBack({ tenant: "acme", count: 2 });
    expect(used).toEqual({ "data-jobs-minute": 1, "data-jobs-hour": 6 });
  });

  test("are limited by one alone, or by nothing", async () => {
    expect(await take(windows(0, 2).admission, 3)).toEqual({ taken: 2, retryAfterMs: 3_600_000 });
    expect(await take(windows(2, 0).admission, 3)).toEqual({ taken: 2, retryAfterMs: 60_000 });
    expect(windows(0, 0).admission).toBeUndefined();
  });
});
