import { idempotencyHeaders as headers } from "../../../operations.ts";
import { examples } from "../examples.ts";
import { json, tenantQuery } from "../schemas/basics.ts";
import * as jobs from "../schemas/jobs.ts";
import { jobFileParams, jobFiles } from "../schemas/files.ts";
import { bytes, define, lines } from "./define.ts";

const params = jobs.jobParams;
const query = tenantQuery;
const one = { params, query };

const streamed =
  "Answers with one line of progress after another; the last has `done: true`. Closing the connection stops it after the step that is under way: what was done stays done, and the last line read tells it.";

function raw(example: unknown) {
  return {
    200: {
      description: "The JSON value, without an envelope",
      content: { "application/json": { schema: json, example } },
    },
  };
}

export const jobOperations = {
  addJob: define("operate", "post /jobs", {
    id: "addJob",
    summary: "Add a job",
    query,
    headers,
    body: jobs.newJob,
    made: true,
    data: jobs.addedJob,
    refused: ["DUPLICATE_JOB"],
  }),
  addJobs: define("operate", "post /jobs/bulk", {
    id: "addJobs",
    summary: "Add up to 1,000 jobs",
    description:
      "Each is taken or refused alone, unless `atomic` is true. Where the store cannot take them, the answer is 503 and `details.report` tells of each job what 200 would have told.",
    query,
    headers,
    body: jobs.bulkBody,
    data: jobs.bulkOutcome,
    refused: ["DUPLICATE_JOB"],
  }),
  listJobs: define("read", "get /jobs", {
    id: "listJobs",
    summary: "Find jobs",
    description:
      "Conditions are all met by each job found; a parameter that is given several times is met by any of its values. `limit=0` counts only.",
    query: jobs.listQuery,
    data: jobs.jobPage,
  }),
  actOnJobs: define("operate", "post /jobs/actions", {
    id: "actOnJobs",
    summary: "Cancel, retry, remove or promote all jobs that a filter finds",
    description: streamed,
    query,
    body: jobs.actionBody,
    responses: { 200: lines("Progress", jobs.actionProgress) },
  }),
  getJob: define("read", "get /jobs/{id}", {
    id: "getJob",
    summary: "A job",
    params,
    query: jobs.jobQuery,
    data: jobs.job,
    refused: ["JOB_NOT_FOUND"],
  }),
  removeJob: define("operate", "delete /jobs/{id}", {
    id: "removeJob",
    summary: "Remove a job that is not running",
    ...one,
    data: jobs.jobRef,
    refused: ["JOB_NOT_FOUND", "INVALID_STATE"],
  }),
  getJobData: define("read", "get /jobs/{id}/data", {
    id: "getJobData",
    summary: "A job's data, however long",
    ...one,
    responses: raw(examples["getJobData"]?.data),
    refused: ["JOB_NOT_FOUND"],
  }),
  getJobResult: define("read", "get /jobs/{id}/result", {
    id: "getJobResult",
    summary: "A completed job's result, however long",
    ...one,
    responses: raw(examples["getJobResult"]?.data),
    refused: ["JOB_NOT_FOUND", "INVALID_STATE"],
  }),
  getJobLogs: define("read", "get /jobs/{id}/logs", {
    id: "getJobLogs",
    summary: "What a job's runs have logged, the oldest line first",
    params,
    query: jobs.logQuery,
    data: jobs.logPage,
    refused: ["JOB_NOT_FOUND"],
  }),
  getJobAttempts: define("read", "get /jobs/{id}/attempts", {
    id: "getJobAttempts",
    summary: "A job's runs, the first one first",
    ...one,
    data: jobs.timeline,
    refused: ["JOB_NOT_FOUND"],
  }),
  getJobDependencies: define("read", "get /jobs/{id}/dependencies", {
    id: "getJobDependencies",
    summary: "The jobs that a job waits for, and those that wait for it",
    ...one,
    data: jobs.dependencies,
    refused: ["JOB_NOT_FOUND"],
  }),
  listJobFiles: define("read", "get /jobs/{id}/files", {
    id: "listJobFiles",
    summary: "The files that a job has made",
    ...one,
    data: jobFiles,
    refused: ["JOB_NOT_FOUND"],
  }),
  getJobFile: define("read", "get /jobs/{id}/files/{name}", {
    id: "getJobFile",
    summary: "A file that a job has made",
    params: jobFileParams,
    query,
    responses: { 200: bytes("The file"), 206: bytes("The range asked for") },
    refused: ["JOB_NOT_FOUND", "FILE_NOT_FOUND"],
  }),
  waitForJob: define("read", "post /jobs/{id}/wait", {
    id: "waitForJob",
    summary: "Wait until a job has ended, one way or another",
    params,
    query: jobs.jobQuery,
    body: jobs.waitBody,
    bodyOptional: true,
    data: jobs.job,
    refused: ["JOB_NOT_FOUND", "JOB_TIMEOUT"],
  }),
  cancelJob: define("operate", "post /jobs/{id}/cancel", {
    id: "cancelJob",
    summary: "Cancel a job that has not ended",
    description: "A running one stops at its next checkpoint, and is `active` until then.",
    ...one,
    body: jobs.cancelBody,
    bodyOptional: true,
    data: jobs.jobRef,
    refused: ["JOB_NOT_FOUND", "JOB_NOT_CANCELLABLE"],
  }),
  retryJob: define("operate", "post /jobs/{id}/retry", {
    id: "retryJob",
    summary: "Start a failed or cancelled job anew",
    ...one,
    data: jobs.jobRef,
    refused: ["JOB_NOT_FOUND", "JOB_NOT_RETRYABLE"],
  }),
  promoteJob: define("operate", "post /jobs/{id}/promote", {
    id: "promoteJob",
    summary: "Let a delayed job run as soon as it can",
    ...one,
    data: jobs.jobRef,
    refused: ["JOB_NOT_FOUND", "INVALID_STATE"],
  }),
  requeueJob: define("operate", "post /jobs/{id}/requeue", {
    id: "requeueJob",
    summary: "Add an ended job again as a new one, with changes",
    ...one,
    body: jobs.requeueBody,
    bodyOptional: true,
    made: true,
    data: jobs.addedJob,
    refused: ["JOB_NOT_FOUND", "INVALID_STATE"],
  }),
};
