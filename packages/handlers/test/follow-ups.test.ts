import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { JobQueue, Worker } from "@jobyard/core";
import { SqliteAdapter } from "@jobyard/core/sqlite";
import PostalMime from "postal-mime";
import { afterEach, beforeEach, expect, it } from "vitest";
import { dataValidationHandler } from "../src/data-validation/handler.ts";
import { emailNotificationsHandler } from "../src/email-notifications/handler.ts";
import { reportGenerationHandler } from "../src/report-generation/handler.ts";
import type { HandlerDeps } from "../src/handler-deps.ts";
import type { Storage } from "../src/storage.ts";
import { newFolder, newStorage, TENANT } from "./run-handler.ts";

let files: Storage;
let queue: JobQueue;
let worker: Worker;

beforeEach(async () => {
  const folder = await newFolder();
  files = await newStorage();
  const adapter = new SqliteAdapter({ path: join(folder, "jobs.db") });
  queue = new JobQueue({ adapter, payloadFolder: folder });
  await queue.open();
  const deps: HandlerDeps = {
    files,
    notifyEmail: "ops@example.com",
    enqueue: (tenant, job) => queue.of(tenant).add(job),
  };
  const handlers = [dataValidationHandler, reportGenerationHandler, emailNotificationsHandler];
  worker = new Worker({
    queue,
    concurrency: 4,
    handlers: handlers.map((handler) => handler(deps)),
  });
  worker.start();
});

afterEach(async () => {
  await worker.drain(0);
  await queue.close();
  await files.close();
});

async function finished(id: number): Promise<Record<string, unknown>> {
  const jobs = queue.of(TENANT);
  const job = await jobs.wait(id, { timeoutMs: 15_000 });
  expect(job.state).toBe("completed");
  const { result } = await jobs.load(job);
  return JSON.parse(result ?? "null") as Record<string, unknown>;
}

async function mailOf(jobId: number) {
  const result = await finished(jobId);
  expect(result).toMatchObject({ delivery: "file", sentTo: [] });
  return PostalMime.parse(await readFile(files.of(TENANT).resultPath(jobId, "message.eml")));
}

it("a failed validation is told by e-mail", async () => {
  const id = await queue.of(TENANT).add({
    queue: "data-validation",
    data: {
      wellId: "W-1",
      validationType: "production_data",
      production: { oil: -1, gas: 0, water: 0 },
      notifyOnFailure: true,
    },
  });
  const { passed, notification } = await finished(id);
  expect(passed).toBe(false);
  const email = await mailOf((notification as { jobId: number }).jobId);
  expect(email.subject).toBe("Validation failed: W-1");
  expect(email.to).toMatchObject([{ address: "ops@example.com" }]);
  expect(email.text).toContain("oil of -1 bbl is negative");
});

it("a report is sent to its recipients", async () => {
  const id = await queue.of(TENANT).add({
    queue: "report-generation",
    data: {
      reportType: "invoice",
      format: "pdf",
      rows: [{ item: "Bracket", total: 5 }],
      recipients: ["a@example.com", "b@example.com"],
      options: { language: "es" },
    },
  });
  const { sentTo, emailJobId, file } = await finished(id);
  expect(sentTo).toEqual(["a@example.com", "b@example.com"]);
  const email = await mailOf(emailJobId as number);
  expect(email.subject).toBe("Factura");
  const [attachment] = email.attachments;
  expect(attachment!.mimeType).toBe("application/pdf");
  const { size } = file as { size: number };
  expect((attachment!.content as ArrayBuffer).byteLength).toBe(size);
});
