import { formatUuid } from "@jobyard/core";
import { describe, expect, test } from "vitest";
import { engines } from "./engines.ts";
import { exportData } from "./running-server.ts";
import { reading, wellflow } from "./wellflow/client.ts";

const redo = {
  projectId: "invoices",
  batchId: "may-1",
  rowIndex: 0,
  redoColumnIds: ["total"],
  croppedImageIds: { total: "crop-0" },
};

describe.each(engines)("on the %s engine", (engine) => {
  test("a key means one call, whichever interface it comes through and whatever comes with it", async () => {
    const { anywhere: call, add } = await wellflow({ engine });
    const other = await add("data-validation", { data: reading });
    const post = (path: string, body: unknown) =>
      call("POST", path, body, { "Idempotency-Key": "reading-of-may" });
    const first = await post("/api/jobs/queues/data-validation/jobs", { data: reading });
    const { jobId } = first.body.data as { readonly jobId: string };
    expect(jobId).not.toBe(other);
    const again: readonly (readonly [path: string, body: unknown, told: object])[] = [
      [
        "/api/v1/jobs",
        { type: "data_export", data: exportData },
        { data: { jobId: formatUuid(Number(jobId)) } },
      ],
      ["/api/native/jobs", { queue: "pumps", data: 1 }, { data: { id: jobId } }],
      [
        "/api/native/jobs/bulk",
        {
          jobs: [
            { queue: "pumps", data: 1 },
            { queue: "pumps", data: 2 },
          ],
        },
        { data: { added: 1, outcomes: [{ id: jobId, error: null }] } },
      ],
      [
        "/queues/pumps/jobs",
        { data: 1 },
        { data: { id: Number(jobId), queue: "data-validation", data: reading } },
      ],
      [
        "/api/queue/enqueue",
        { projectId: "invoices", batchIds: ["may-1", "may-2"] },
        { jobId, jobIds: [jobId] },
      ],
      ["/api/queue/redo", redo, { jobId }],
      [
        "/api/jobs/bulk",
        { jobs: [{ queue: "data-validation", data: reading }] },
        { data: { created: 1, failed: 0, jobIds: [jobId] } },
      ],
    ];
    for (const [path, body, told] of again) {
      const answer = await post(path, body);
      expect(answer.status, path).toBeLessThan(300);
      expect(answer.body).toMatchObject(told);
    }
    expect((await call("GET", "/api/native/jobs?limit=0")).body.data.total).toBe(2);
  });

  test("a bulk that is repeated is told what the first was, also where it holds what no job may", async () => {
    const { anywhere: call } = await wellflow({ engine });
    const post = (body: string) =>
      call("POST", "/api/native/jobs/bulk", body, { "Idempotency-Key": "pumps-of-may" });
    const jobs = (...extras: string[]) =>
      `{"jobs":[${extras.map((extra) => `{"queue":"pumps","data":1${extra}}`).join()}]}`;
    const first = await post(jobs("", ',"note":{"__proto__":1}', ""));
    expect(first.body.data).toMatchObject({
      added: 2,
      refused: 1,
      outcomes: [
        { error: null },
        { id: null, error: { code: "INVALID_JOB_DATA" } },
        { error: null },
      ],
    });
    const again = await post(jobs(',"note":1e999', "", ""));
    expect(again.body.data.outcomes.map(({ id }: { id: string | null }) => id)).toEqual(
      first.body.data.outcomes.map(({ id }: { id: string | null }) => id),
    );
    const atomic = await call(
      "POST",
      "/api/native/jobs/bulk",
      jobs("", ',"note":1e999').replace("{", '{"atomic":true,'),
    );
    expect(atomic.status).toBe(400);
    expect(atomic.body.details).toMatchObject({ index: 1, errors: [{ field: "note" }] });
    expect((await call("GET", "/api/native/jobs?limit=0")).body.data.total).toBe(2);
  });
});
