import { describe, expect, it } from "vitest";

import type { ScheduleRecord } from "../../queue-adapter.ts";
import { jobSpec } from "../job-factory.ts";
import { counts, expectRejected, only, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeSchedules(factory: EngineFactory): void {
  describe("schedules", () => {
    const d = useDriver(factory);

    const schedule = (overrides: Partial<ScheduleRecord> = {}): ScheduleRecord => ({
      tenant: "default",
      name: "nightly",
      cron: "0 3 * * *",
      timezone: "Europe/Madrid",
      enabled: true,
      description: "cleans up",
      queue: "work",
      template: '{"a":1}',
      via: "wellflow",
      createdAt: d.now(),
      nextRun: d.now() + 1000,
      lastRun: null,
      ...overrides,
    });

    const put = (record: ScheduleRecord, expect?: "new" | "existing"): Promise<void> =>
      d.adapter.putSchedule(expect ? { schedule: record, expect } : { schedule: record });

    async function stored(tenant = "default"): Promise<readonly ScheduleRecord[]> {
      const records = await d.adapter.listSchedules({ tenant });
      return records.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    }

    function fire(due: number, nextRun: number | null): ReturnType<typeof d.adapter.fireSchedule> {
      const job = jobSpec({ data: '{"a":1}' });
      return d.adapter.fireSchedule({ tenant: "default", name: "nightly", due, nextRun, job });
    }

    it("are kept as they are", async () => {
      const records = [
        schedule(),
        schedule({ name: "off", enabled: false, nextRun: null, description: null }),
      ];
      for (const record of records) await put(record);
      expect(await stored()).toEqual(records);
      const changed = schedule({ cron: "*/5 * * * *", timezone: "UTC", description: null });
      await put(changed);
      expect((await stored())[0]).toEqual(changed);
    });

    it("can be put as new or existing alone", async () => {
      await expectRejected(put(schedule(), "existing"), "SCHEDULE_NOT_FOUND");
      expect(await stored()).toEqual([]);
      await put(schedule(), "new");
      await expectRejected(put(schedule({ cron: "1 1 1 1 1" }), "new"), "DUPLICATE_SCHEDULE");
      expect(only(await stored()).cron).toBe("0 3 * * *");
      await put(schedule({ cron: "1 1 1 1 1" }), "existing");
      expect(only(await stored()).cron).toBe("1 1 1 1 1");
    });

    it("can be put as new by one of many", async () => {
      const attempts = await Promise.allSettled(
        Array.from({ length: 10 }, () => put(schedule(), "new")),
      );
      expect(attempts.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    });

    it("can be deleted", async () => {
      await put(schedule());
      expect(await d.adapter.deleteSchedule({ tenant: "default", name: "other" })).toBe(false);
      expect(await d.adapter.deleteSchedule({ tenant: "default", name: "nightly" })).toBe(true);
      expect(await d.adapter.deleteSchedule({ tenant: "default", name: "nightly" })).toBe(false);
      expect(await stored()).toEqual([]);
    });

    it("belong to their tenant", async () => {
      await put(schedule());
      await put(schedule({ tenant: "acme", cron: "5 5 * * *" }), "new");
      expect(only(await stored("acme")).cron).toBe("5 5 * * *");
      expect(await stored("*")).toHaveLength(2);
      await expectRejected(put(schedule({ tenant: "zoo" }), "existing"), "SCHEDULE_NOT_FOUND");
      expect(await d.adapter.deleteSchedule({ tenant: "zoo", name: "nightly" })).toBe(false);
      expect(await d.adapter.deleteSchedule({ tenant: "acme", name: "nightly" })).toBe(true);
      expect(only(await stored("*")).tenant).toBe("default");
    });

    it("fire once for each due time, however many try", async () => {
      const due = d.now() + 1000;
      await put(schedule({ nextRun: due }));
      await d.advance(1000);
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => fire(due, due + 5000)));
      const id = only(outcomes.filter((outcome) => outcome !== null));
      expect(await d.job(id as number)).toMatchObject({ data: '{"a":1}', state: "waiting" });
      expect(await d.count()).toEqual(counts({ waiting: 1 }));
      const after = only(await stored());
      expect(after.nextRun).toBe(due + 5000);
      expect(after.lastRun).not.toBeNull();
      expect(await fire(due, due + 9000)).toBeNull();
      expect(await fire(due + 5000, null)).toBeTypeOf("number");
      expect(only(await stored()).nextRun).toBeNull();
      expect(await fire(due + 5000, null)).toBeNull();
    });

    it("do not fire when they were changed or deleted meanwhile", async () => {
      const due = d.now() + 1000;
      await put(schedule({ nextRun: due }));
      await put(schedule({ nextRun: due + 60_000 }));
      expect(await fire(due, due + 5000)).toBeNull();
      expect(only(await stored()).nextRun).toBe(due + 60_000);
      await put(schedule({ nextRun: null, enabled: false }));
      expect(await fire(due + 60_000, null)).toBeNull();
      await d.adapter.deleteSchedule({ tenant: "default", name: "nightly" });
      expect(await fire(due, due + 5000)).toBeNull();
      expect(await d.count()).toEqual(counts({}));
    });

    it("tell the job they add", async () => {
      const recorder = await d.record();
      const due = d.now();
      await put(schedule({ nextRun: due }));
      const id = await fire(due, null);
      expect(await recorder.of(id as number)).toEqual(["job.pushed"]);
      expect((await d.total()).added).toBe(1);
      expect((await d.take()).id).toBe(id);
    });
  });
}
