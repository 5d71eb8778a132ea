import { defineHandler, type Handler, jobTypes } from "@jobyard/core";
import type { HandlerDeps } from "../handler-deps.ts";
import type { TenantFiles } from "../storage.ts";
import { derive, type Finding, type HistoryRow, validate, type ValidationData } from "./rules.ts";

/** Records of validated rows, for reports: the job's id is the record's. */
export const VALIDATIONS = "validations";
/** The last periods of each well or lease. */
const HISTORIES = "production-histories";
const MOST_HISTORY_ROWS = 120;
/** Told in an e-mail; the rest is in the job's result. */
const MOST_TOLD = 50;

/** Checks a well's or lease's figures by the rules of docs/job-types/data-validation.md. */
export function dataValidationHandler(deps: HandlerDeps): Handler {
  return defineHandler(jobTypes["data-validation"], async ({ data, job }) => {
    const files = deps.files.of(job.tenant);
    const now = Date.now();
    const history = await historyOf(data, files, job.id);
    const { errors, warnings, validatedFields } = validate({ data, history, now });
    const derived = derive(data.production);
    const passed = errors.length === 0;
    let notification: { jobId: number; to: string } | undefined;
    if (!passed && data.notifyOnFailure === true) {
      notification = await notify(deps, job, data, errors, warnings);
    }
    await files.putRecord(VALIDATIONS, String(job.id), {
      wellId: data.wellId ?? null,
      leaseId: data.leaseId ?? null,
      operatorId: data.operatorId ?? null,
      organizationId: data.organizationId ?? null,
      county: data.location?.county ?? null,
      state: data.location?.state ?? null,
      validationType: data.validationType,
      period: periodOf(data),
      oil: data.production?.oil ?? null,
      gas: data.production?.gas ?? null,
      water: data.production?.water ?? null,
      daysOn: data.production?.daysOn ?? null,
      ...derived,
      passed,
      errors: errors.length,
      warnings: warnings.length,
      findings: [...errors, ...warnings].slice(0, MOST_TOLD).map(({ message }) => message),
    });
    await keepHistory(data, files, job.id, passed, now);
    return {
      passed,
      errors: errors.map((finding) => ({ ...finding })),
      warnings: warnings.map((finding) => ({ ...finding })),
      validatedFields,
      derived: { ...derived },
      ...(notification && { notification }),
    };
  });
}

function periodOf(data: ValidationData): string | null {
  for (const field of ["productionDate", "reportingPeriod", "period", "month", "date"]) {
    const value = data[field];
    if (typeof value === "string") return value;
  }
  return null;
}

function historyId({ wellId, leaseId }: ValidationData): string {
  return JSON.stringify([wellId ?? null, leaseId ?? null]);
}

interface KeptRow extends HistoryRow {
  readonly jobId: number;
}

async function keptRows(data: ValidationData, files: TenantFiles): Promise<readonly KeptRow[]> {
  const kept = await files.getRecord(HISTORIES, historyId(data));
  return (kept?.value ?? []) as readonly KeptRow[];
}

/** As sent; else, if asked for, what earlier jobs of the same type brought for the well, this one left out. */
async function historyOf(
  data: ValidationData,
  files: TenantFiles,
  jobId: number,
): Promise<readonly HistoryRow[]> {
  if (data.history !== undefined) return data.history;
  if (data.includeHistorical !== true) return [];
  const rows = await keptRows(data, files);
  return rows.filter((row) => row.jobId !== jobId && row["validationType"] === data.validationType);
}

/** Rows that failed are no history to measure others by. */
async function keepHistory(
  data: ValidationData,
  files: TenantFiles,
  jobId: number,
  passed: boolean,
  now: number,
): Promise<void> {
  if (!passed || data.production === undefined) return;
  const { oil, gas, water, daysOn } = data.production;
  const period = periodOf(data);
  const rows = (await keptRows(data, files)).filter(
    (row) => row.jobId !== jobId && (period === null || row["date"] !== period),
  );
  const { validationType } = data;
  rows.push({
    jobId,
    validationType,
    date: period ?? new Date(now).toISOString(),
    oil,
    gas,
    water,
    daysOn,
  });
  await files.putRecord(HISTORIES, historyId(data), rows.slice(-MOST_HISTORY_ROWS));
}

/** Queues one e-mail however often the job is run; a warning where it cannot. */
async function notify(
  deps: HandlerDeps,
  job: { readonly id: number; readonly tenant: string },
  data: ValidationData,
  errors: readonly Finding[],
  warnings: Finding[],
): Promise<{ jobId: number; to: string } | undefined> {
  const { notifyEmail, enqueue } = deps;
  if (notifyEmail == null || enqueue === undefined) {
    warnings.push({
      rule: "notification",
      field: "notifyOnFailure",
      value: true,
      limit: "NOTIFY_EMAIL",
      message: "Nobody was notified: no address is configured (NOTIFY_EMAIL)",
    });
    return undefined;
  }
  const subject = data.wellId ?? data.leaseId ?? "";
  const jobId = await enqueue(job.tenant, {
    queue: "email-notifications",
    name: "validation-failed",
    uniqueKey: `validation-failed-${job.id}`,
    data: {
      recipientEmails: [notifyEmail],
      alertType: "validation_failed",
      subject: `Validation failed: ${subject}`,
      message: `The ${data.validationType} validation of ${subject} found ${errors.length} errors and ${warnings.length} warnings (job ${job.id}).`,
      templateData: {
        ...(data.wellId !== undefined && { wellId: data.wellId }),
        ...(data.leaseId !== undefined && { leaseId: data.leaseId }),
        errors: errors
          .slice(0, MOST_TOLD)
          .map(({ rule, field, message }) => ({ rule, field, message })),
      },
    },
  });
  return { jobId, to: notifyEmail };
}
