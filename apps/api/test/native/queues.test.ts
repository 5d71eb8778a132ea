import { describe, expect, test, vi } from "vitest";
import { engines } from "../engines.ts";
import type { fine } from "../../src/dialects/native/figures.ts";
import { virtualApi } from "../virtual-api.ts";
import { native, refusal } from "./client.ts";

describe.each(engines)("queues and figures on %s", (engine) => {
  test("list, show, pause, resume, limit", async () => {
    const { add, call, data } = await native({ engine });
    await add({ queue: "wool" });
    const limits = { rateLimit: 20, concurrency: 3 };
    expect(await data("PATCH", "/queues/silk", limits)).toMatchObject({ name: "silk", ...limits });
    const { items } = await data("GET", "/queues");
    expect(items).toMatchObject([
      { name: "silk", ...limits },
      { name: "wool", paused: false, rateLimit: null, concurrency: null, counts: { waiting: 1 } },
    ]);
    expect(await data("PATCH", "/queues/silk", { rateLimit: null })).toMatchObject({
      rateLimit: null,
      concurrency: 3,
    });
    expect(await data("POST", "/queues/wool/pause")).toMatchObject({ name: "wool", paused: true });
    expect(await data("POST", "/work/pull", { queues: ["wool"] })).toEqual({ items: [] });
    expect(await data("POST", "/queues/wool/resume")).toMatchObject({ paused: false });
    expect((await data("POST", "/work/pull", { queues: ["wool"] })).items).toHaveLength(1);
    expect(await data("GET", "/queues/wool")).toMatchObject({ counts: { active: 1 } });
    expect(await call("GET", "/queues/linen")).toMatchObject(refusal(404, "QUEUE_NOT_FOUND"));
    expect(await data("GET", "/queues/process_batch")).toMatchObject({ typed: true });
    for (const body of [{ rateLimit: 0 }, { concurrency: 1.5 }, { rateLimit: "9" }]) {
      const [field] = Object.keys(body);
      expect(await call("PATCH", "/queues/wool", body)).toMatchObject(
        refusal(400, "INVALID_JOB_DATA", { errors: [{ field }] }),
      );
    }
    expect(await call("POST", "/queues/no%20name/pause")).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "queue" }] }),
    );
  });

  test("stats and series tell what happened, by queue and by minute", async () => {
    const { data, pull, call } = await native({ engine });
    const jobs = [
      ...Array.from({ length: 6 }, () => ({ queue: "loom", project: "scarf" })),
      ...Array.from({ length: 3 }, () => ({ queue: "dye" })),
    ];
    await data("POST", "/jobs/bulk", { jobs });
    const runs = await pull("loom", 5);
    const [failed, cancelled, ...done] = runs;
    const items = done.map(({ id, lease }) => ({ id, lease }));
    await data("POST", "/work/ack", { items });
    await data("POST", "/work/fail", { items: [{ ...failed, error: "torn" }] });
    await data("POST", `/jobs/${cancelled?.id}/cancel`);
    const figures = { added: 6, completed: 3, failed: 1, cancelled: 1, successRate: 75 };
    const all = await data("GET", "/stats?by=queue");
    expect(all).toMatchObject({
      counts: { waiting: 4, active: 0, completed: 3, failed: 1, cancelled: 1 },
      total: { ...figures, added: 9 },
    });
    const byName = Object.fromEntries(all.groups.map((g: { key: string }) => [g.key, g]));
    expect(byName).toMatchObject({
      loom: { ...figures, peakConcurrency: 5 },
      dye: { added: 3, completed: 0, successRate: null, durationAvgMs: null },
    });
    expect(await data("GET", "/stats?queue=loom")).toMatchObject({ total: figures });
    expect(await data("GET", "/stats?lastMs=300000")).toMatchObject({ total: { added: 9 } });
    const tenMinutes = await data("GET", "/metrics?lastMs=600000");
    expect(tenMinutes.series[0].points.length).toBeOneOf([10, 11]);
    expect(await data("GET", "/stats?project=scarf")).toMatchObject({ total: { added: 6 } });
    expect(await data("GET", "/stats?to=2001-01-01T00:00:00Z")).toMatchObject({
      total: { added: 0 },
    });

    const minutes = await data("GET", "/metrics?queue=loom&queue=dye&perQueue=true");
    expect(minutes.series.map(({ queue }: { queue: string }) => queue)).toEqual(["loom", "dye"]);
    for (const { points } of minutes.series) expect(points).toHaveLength(60);
    const sum = (points: readonly { added: number }[]): number =>
      points.reduce((total, { added }) => total + added, 0);
    expect(minutes.series.map(({ points }: { points: [] }) => sum(points))).toEqual([6, 3]);
    expect(minutes.series[0].points.at(-1).backlog).toBe(1);
    expect(minutes.series[0].points[0].backlog).toBe(0);
    const hours = await data("GET", "/metrics?interval=hour");
    expect(hours.series).toHaveLength(1);
    expect(sum(hours.series[0].points)).toBe(9);
    expect(hours.series[0].points.at(-1)).toMatchObject({ backlog: 4, failed: 1 });
    const long = "/metrics?from=2001-01-01T00:00:00Z";
    expect(await call("GET", long)).toMatchObject(
      refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "from" }] }),
    );
    expect(await data("GET", "/metrics?to=2001-01-01T00:00:00Z")).toMatchObject({ series: [{}] });
    // In UTC they are in the years 10000 and 999.
    for (const moment of ["9999-12-31T23:59:00-10:00", "1000-01-01T00:00:00%2B10:00"]) {
      for (const path of [
        `/metrics?from=${moment}`,
        `/metrics?to=${moment}`,
        `/stats?from=${moment}`,
      ]) {
        expect(await call("GET", path)).toMatchObject(
          refusal(400, "INVALID_JOB_DATA", {
            errors: [{ message: expect.stringContaining("1000 to 9999") }],
          }),
        );
      }
    }
    const last = "9999-12-31T23:59:00.000Z";
    expect(await data("GET", `/metrics?from=${last}`)).toMatchObject({
      from: last,
      series: [{ points: [] }],
    });
  });
});

describe.each(engines)("the last five minutes on %s", (engine) => {
  test("come in steps of 5 s, each sampled once for all who look", async () => {
    const { queue, advance, call } = await virtualApi(engine);
    const jobs = queue.of("default");
    const path = "/api/native/metrics?interval=5s";
    const look = async (): Promise<{
      readonly from: string;
      readonly to: string;
      readonly points: ReturnType<typeof fine>;
    }> => {
      const { from, to, series } = (await call("GET", path)).body.data;
      expect(series).toHaveLength(1);
      return { from, to, points: series[0].points };
    };
    await advance(60_000);
    await jobs.addMany(
      Array.from({ length: 7 }, () => ({ queue: "loom", data: 1 })),
      { atomic: true },
    );
    await advance(90_000);
    const { from, to, points } = await look();
    expect(points).toHaveLength(60);
    const starts = points.map(({ at }) => Date.parse(at));
    expect(new Set(starts.slice(1).map((at, n) => at - (starts[n] ?? 0)))).toEqual(new Set([5000]));
    expect(Date.parse(to) - Date.parse(from)).toBe(300_000);
    // In whole jobs, none of them lost.
    expect(points.reduce((sum, { added }) => sum + added, 0)).toBe(7);
    expect(points.map(({ backlog }) => backlog)).toEqual(
      points.map(({ backlog }) => backlog).toSorted((a, b) => a - b),
    );
    expect([points[0]?.backlog, points.at(-1)?.backlog]).toEqual([0, 7]);

    const [run, other] = await jobs.pull({ queue: "loom", limit: 2 });
    await advance(40);
    await jobs.ack([{ id: run!.id, lease: run!.lease }]);
    const asked = vi.spyOn(queue.adapter, "stats");
    const looking = Promise.all(Array.from({ length: 20 }, look));
    await advance(5000);
    await looking;
    await expect
      .poll(async () => (await look()).points.at(-1))
      .toMatchObject({ completed: 1, added: 0, backlog: 6, durationAvgMs: 40, successRate: 100 });
    expect(asked).toHaveBeenCalledTimes(1);
    await jobs.fail({ id: other!.id, lease: other!.lease, error: "snapped", final: true });
    await advance(5000);
    await expect
      .poll(async () => (await look()).points.slice(-2))
      .toMatchObject([
        { completed: 1, failed: 0 },
        { completed: 0, failed: 1, backlog: 5, durationAvgMs: null },
      ]);
    const lately = await call("GET", `${path}&lastMs=20000`);
    expect(lately.body.data.series[0].points.length).toBeOneOf([3, 4]);
    for (const narrower of [
      "queue=loom",
      "project=p",
      "perQueue=true",
      "to=2030-01-01T00:00:00Z",
    ]) {
      expect((await call("GET", `${path}&${narrower}`)).status).toBe(400);
    }
  });
});

describe.each(engines)("failures on %s", (engine) => {
  test("are grouped by their error, found by it, and retried as a group", async () => {
    const { url, data, pull } = await native({ engine });
    const jobs = Array.from({ length: 7 }, (_, n) => ({ queue: n < 6 ? "press" : "bind" }));
    await data("POST", "/jobs/bulk", { jobs });
    const runs = [...(await pull("press", 6)), ...(await pull("bind"))];
    const items = runs.map(({ id, lease }, n) => ({
      id,
      lease,
      error: n % 2 === 0 ? `Sheet ${n} of tray 12 jammed` : "Out of ink",
    }));
    await data("POST", "/work/fail", { items });
    const { items: groups } = await data("GET", "/errors");
    expect(groups.map(({ queue, count }: { queue: string; count: number }) => [queue, count]))
      // The newer one first among equals.
      .toEqual(
        expect.arrayContaining([
          ["press", 3],
          ["press", 3],
          ["bind", 1],
        ]),
      );
    const jams = groups.find(
      (group: { queue: string; sampleMessage: string }) =>
        group.queue === "press" && group.sampleMessage.includes("jammed"),
    );
    expect(jams).toMatchObject({ count: 3, sampleMessage: "Sheet 4 of tray 12 jammed" });
    expect(jams.perHour.at(-1)).toBe(3);
    expect((await data("GET", "/errors?queue=bind")).items).toHaveLength(1);
    expect((await data("GET", "/errors?to=2001-01-01T00:00:00Z")).items).toEqual([]);
    expect(await data("GET", "/jobs?error=out%20OF")).toMatchObject({ total: 3 });
    const ofGroup = await data("GET", `/jobs?errorGroup=${jams.group}`);
    expect(ofGroup).toMatchObject({ total: 3, items: [{ id: jams.sampleJob }, {}, {}] });
    const response = await fetch(`${url}/jobs/actions`, {
      method: "POST",
      body: JSON.stringify({ action: "retry", filter: { errorGroup: jams.group } }),
    });
    const lines = (await response.text()).trimEnd().split("\n");
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ total: 3, applied: 3, done: true });
    expect((await data("GET", "/errors")).items).toHaveLength(2);
  });
});

describe.each(engines)("payload search on %s", (engine) => {
  test("finds jobs by fields of their data and results, in queues that index them", async () => {
    const { add, call, data, pull } = await native({ engine });
    const old = await add({ queue: "wells", data: { wellId: "W-0", depth: 12 } });
    const indexedPaths = ["data.wellId", "data.depth", "result.oil.0.grade"];
    expect(await data("PATCH", "/queues/wells", { indexedPaths })).toMatchObject({ indexedPaths });
    const find = async (payload: string): Promise<string[]> => {
      const query = String(new URLSearchParams({ queue: "wells", payload }));
      const { items } = await data("GET", `/jobs?order=asc&${query}`);
      return items.map(({ id }: { id: string }) => id) as string[];
    };
    const one = await add({ queue: "wells", data: { wellId: "W = 7", depth: 12 } });
    const two = await add({ queue: "wells", data: { wellId: "12", depth: "12" } });
    // Jobs that were there before are taken in bit by bit.
    await expect.poll(() => find("data.wellId = W-0")).toEqual([old]);
    expect(await find("data.wellId = W = 7")).toEqual([one]);
    expect(await find("data.depth = 12")).toEqual([old, one]);
    expect(await find('data.depth = "12"')).toEqual([two]);
    expect(await find('data.wellId="12"')).toEqual([two]);
    expect(await find("data.wellId = 12")).toEqual([]);
    const [run] = await pull("wells");
    const result = { oil: [{ grade: null }] };
    await data("POST", "/work/ack", { items: [{ id: run?.id, lease: run?.lease, result }] });
    expect(await find("result.oil.0.grade = null")).toEqual([old]);
    const bad: readonly (readonly [string, string])[] = [
      ["queue=wells&payload=data.wellId", "payload"],
      ["queue=wells&payload=size%20=%201", "payload.path"],
      ["queue=wells&payload=data.other%20=%201", "payload.path"],
      ["payload=data.wellId%20=%201", "queues"],
    ];
    for (const [query, field] of bad) {
      expect(await call("GET", `/jobs?${query}`)).toMatchObject(
        refusal(400, "INVALID_JOB_DATA", { errors: [{ field }] }),
      );
    }
    expect(await data("PATCH", "/queues/wells", { indexedPaths: [] })).toMatchObject({
      indexedPaths: [],
    });
  });
});
