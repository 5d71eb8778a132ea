import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { native, refusal } from "./client.ts";

const spring = "2026-03-27T12:00:00Z";

describe.each(engines)("schedules on %s", (engine) => {
  test("add, read, change, pause, run now, remove", async () => {
    const { call, data } = await native({ engine });
    const job = { queue: "bells", name: "noon", data: { strokes: 12 }, maxAttempts: 2 };
    const wanted = { name: "noon-bells", cron: "0 12 * * *", timezone: "America/Lima", job };
    const made = await data("POST", "/schedules", { ...wanted, description: "The big one" });
    expect(made).toMatchObject({
      ...wanted,
      tenant: "default",
      queue: "bells",
      enabled: true,
      description: "The big one",
      words: { en: "At 12:00", es: "A las 12:00" },
      nextRunAt: expect.stringMatching(/T17:00:00\.000Z$/),
      lastRunAt: null,
      addedVia: "native",
    });
    expect(await call("POST", "/schedules", wanted)).toMatchObject(
      refusal(409, "DUPLICATE_SCHEDULE"),
    );
    const path = `/schedules/${wanted.name}`;
    expect(await data("GET", path)).toEqual(made);
    expect(await data("GET", "/schedules")).toEqual({ items: [made] });
    expect(await data("PATCH", path, { enabled: false, description: null })).toMatchObject({
      cron: wanted.cron,
      enabled: false,
      description: null,
      nextRunAt: null,
      job,
    });
    const moved = { enabled: true, cron: "0 0 1 1 *", timezone: "UTC" };
    expect(await data("PATCH", path, moved)).toMatchObject({
      ...moved,
      nextRunAt: expect.stringMatching(/-01-01T00:00:00\.000Z$/),
    });
    const { id } = await data("POST", `${path}/run`);
    expect(await data("GET", `/jobs/${id}`)).toMatchObject({
      ...job,
      schedule: wanted.name,
    });
    expect(await data("DELETE", path)).toEqual({ name: wanted.name });
    for (const [method, at] of [
      ["GET", path],
      ["DELETE", path],
      ["POST", `${path}/run`],
    ] as const) {
      expect(await call(method, at)).toMatchObject(refusal(404, "SCHEDULE_NOT_FOUND"));
    }
    expect(await call("PATCH", path, {})).toMatchObject(refusal(404, "SCHEDULE_NOT_FOUND"));
  });

  test("a bad one is refused with the field's name", async () => {
    const { call } = await native({ engine });
    const job = { queue: "bells" };
    const bad: readonly [object, string][] = [
      [{ name: "x y", cron: "* * * * *", job }, "name"],
      [{ name: "x", cron: "61 * * * *", job }, "cron"],
      [{ name: "x", cron: "0 0 31 2 *", job }, "cron"],
      [{ name: "x", cron: "* * * * *", timezone: "Mars/Olympus", job }, "timezone"],
      [{ name: "x", cron: "* * * * *" }, "job"],
      [{ name: "x", cron: "* * * * *", job: { queue: "data_export", data: {} } }, "datasetId"],
    ];
    for (const [body, field] of bad) {
      const { status, body: answer } = await call("POST", "/schedules", JSON.stringify(body));
      const fields = answer.details.errors.map((error: { field: string }) => error.field);
      expect([status, field, fields]).toEqual([400, field, expect.arrayContaining([field])]);
    }
  });
});

test("a preview tells the due times in the schedule's zone, over a clock change", async () => {
  const { call, data } = await native();
  const asked = { cron: "30 2 * * *", timezone: "Europe/Madrid", count: 3, from: spring };
  expect(await data("POST", "/schedules/preview", asked)).toEqual({
    words: { en: "At 02:30", es: "A las 02:30" },
    runs: [
      { at: "2026-03-28T01:30:00.000Z", local: "2026-03-28T02:30:00+01:00" },
      { at: "2026-03-29T01:00:00.000Z", local: "2026-03-29T03:00:00+02:00" },
      { at: "2026-03-30T00:30:00.000Z", local: "2026-03-30T02:30:00+02:00" },
    ],
  });
  const often = { cron: "*/90", count: 2, from: spring };
  expect(await data("POST", "/schedules/preview", often)).toEqual({
    words: { en: "Every 90 seconds", es: "Cada 90 segundos" },
    runs: [
      { at: "2026-03-27T12:01:30.000Z", local: "2026-03-27T12:01:30+00:00" },
      { at: "2026-03-27T12:03:00.000Z", local: "2026-03-27T12:03:00+00:00" },
    ],
  });
  expect(await call("POST", "/schedules/preview", { cron: "often" })).toMatchObject(
    refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "cron" }] }),
  );
  expect((await data("POST", "/schedules/preview", { cron: "0 9 * * 1" })).runs).toHaveLength(5);
  for (const from of ["9999-12-31T23:59:00-10:00", "0000-01-01T00:00:00Z"]) {
    expect(await call("POST", "/schedules/preview", { ...often, from })).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "from" }] }),
    );
  }
});
