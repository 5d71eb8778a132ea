import { HandlerError, type JobData, jobTypes } from "@jobyard/core";
import { z } from "zod";

const type = jobTypes["file-analysis"];
type AnalysisData = JobData<typeof type>;

/** Bytes of an answer. */
const MAX_ANSWER = 32_000_000;

const refusal = z.looseObject({
  error: z.union([z.string(), z.looseObject({ message: z.string() })]),
});

/** Statuses by which the service says that the file or the request can never be analysed. */
const faults: ReadonlySet<number> = new Set([400, 404, 410, 413, 415, 422]);

/**
 * Asks a service for an analysis: `POST {service}/analyze` with the job's data as JSON, answered by the job's result. See
 * docs/job-types/file-analysis.md.
 *
 * @throws HandlerError `NETWORK_ERROR` when it cannot be reached, `TEMPORARY_FAILURE` when it fails,
 * `INVALID_FILE` when it says that the fault is the file's
 */
export async function analyseRemotely(
  service: string,
  data: AnalysisData,
  job: { readonly id: number; readonly tenant: string },
  signal: AbortSignal,
): Promise<z.infer<typeof type.result>> {
  const url = new URL("analyze", service.endsWith("/") ? service : `${service}/`);
  const { status, text } = await post(
    url,
    { ...data, tenantId: job.tenant, jobId: String(job.id) },
    signal,
  );
  const body = parsed(text);
  if (status !== 200) {
    const told = refusal.safeParse(body);
    const error = told.success ? told.data.error : undefined;
    const reason = typeof error === "string" ? error : error?.message;
    const message = `The analysis service answered ${status}${reason === undefined ? "" : `: ${reason}`}`;
    if (!faults.has(status)) throw failure("TEMPORARY_FAILURE", message);
    throw new HandlerError("INVALID_FILE", message, { dataFault: true, stage: "analysis service" });
  }
  const result = type.result.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw failure(
    "TEMPORARY_FAILURE",
    `The analysis service's answer is no result: ${issue?.path.join(".")}: ${issue?.message}`,
  );
}

async function post(
  url: URL,
  body: object,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify(body),
      redirect: "manual",
      signal,
    });
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for await (const chunk of response.body ?? []) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER) {
        throw failure("TEMPORARY_FAILURE", "The analysis service's answer is too large");
      }
      text += decoder.decode(chunk, { stream: true });
    }
    return { status: response.status, text: text + decoder.decode() };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof HandlerError) throw error;
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    const told = cause instanceof Error ? cause.message : String(cause);
    throw failure("NETWORK_ERROR", `The analysis service cannot be reached: ${told}`, error);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function failure(code: string, message: string, cause?: unknown): HandlerError {
  return new HandlerError(code, message, { stage: "analysis service", cause });
}
