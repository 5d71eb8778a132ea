import { describe, expect, it } from "vitest";

import type { Schedule, ScheduleRecord } from "../../queue-adapter.ts";
import { jobSpec } from "../job-factory.ts";
import { counts, only, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeSchedules(factory: EngineFactory): void {
  describe("schedules", () => {
    const d = useDriver(factory);

    const schedule = (overrides: Partial<Schedule> = {}): Schedule => ({
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

    const put = (record: Schedule, replaces: number | null = null): Promise<number | null> =>
      d.adapter.putSchedule({ schedule: record, replaces });

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
      const versions: (number | null)[] = [];
      for (const record of records) versions.push(await put(record));
      expect(await stored()).toEqual(
        records.map((record, i) => ({ ...record, version: versions[i] })),
      );
      const changed = schedule({ cron: "*/5 * * * *", timezone: "UTC", description: null });
      const version = await put(changed, versions[0]);
      expect(versions).not.toContain(version);
      expect((await stored())[0]).toEqual({ ...changed, version });
    });

    it("replace nothing but what they were made from", async () => {
      const first = await put(schedule());
      expect(first).toBeTypeOf("number");
      expect(await put(schedule({ cron: "1 1 1 1 1" }))).toBeNull();
      expect(await put(schedule({ name: "other" }), first)).toBeNull();
      const second = await put(schedule({ cron: "2 2 2 2 2" }), first);
      expect(await put(schedule({ cron: "3 3 3 3 3" }), first)).toBeNull();
      expect(only(await stored())).toMatchObject({ cron: "2 2 2 2 2", version: second });
      // One that was deleted does not come back by its version, not even when there is another of its name.
      await d.adapter.deleteSchedule({ tenant: "default", name: "nightly" });
      expect(await put(schedule(), second)).toBeNull();
      expect(await stored()).toEqual([]);
      const third = await put(schedule());
      expect([null, first, second]).not.toContain(third);
      expect(await put(schedule({ cron: "4 4 4 4 4" }), second)).toBeNull();
      expect(only(await stored()).cron).toBe("0 3 * * *");
    });

    it("do not put back a due time that was served", async () => {
      const due = d.now();
      const version = await put(schedule({ nextRun: due }));
      expect(await fire(due, due + 5000)).toBeTypeOf("number");
      expect(await put(schedule({ nextRun: due, description: "changed" }), version)).toBeNull();
      expect(only(await stored())).toMatchObject({ nextRun: due + 5000, lastRun: due });
      expect(await fire(due, due + 5000)).toBeNull();
    });

    it("are put by one of many who saw the same", async () => {
      const versions: (number | null)[] = [null];
      for (let round = 0; round < 3; round++) {
        const puts = await Promise.all(
          Array.from({ length: 10 }, (_, i) =>
            put(schedule({ description: `${round} ${i}` }), versions[round]),
          ),
        );
        const version = only(puts.filter((one) => one !== null));
        expect(only(await stored())).toMatchObject({
          description: `${round} ${puts.indexOf(version)}`,
          version,
        });
        versions.push(version);
      }
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
      const acme = await put(schedule({ tenant: "acme", cron: "5 5 * * *" }));
      expect(only(await stored("acme")).cron).toBe("5 5 * * *");
      expect(await stored("*")).toHaveLength(2);
      expect(await put(schedule({ tenant: "zoo" }), acme)).toBeNull();
      expect(await put(schedule(), acme)).toBeNull();
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
      const first = await put(schedule({ nextRun: due }));
      const second = await put(schedule({ nextRun: due + 60_000 }), first);
      expect(await fire(due, due + 5000)).toBeNull();
      expect(only(await stored()).nextRun).toBe(due + 60_000);
      await put(schedule({ nextRun: null, enabled: false }), second);
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
