import { tenantQuery } from "../schemas/basics.ts";
import * as work from "../schemas/work.ts";
import { define } from "./define.ts";

const query = tenantQuery;
const runs = { query, data: work.runOutcomes };
const one = { params: work.workerParams, query };

export const workOperations = {
  pullJobs: define("operate", "post /work/pull", {
    id: "pullJobs",
    summary: "Take jobs to run",
    description:
      "Whoever takes a job renews its lease, by progress, `renew` or the heartbeats of the worker it names, and ends the run by `ack`, `fail` or `release`. A caller that is gone before the answer has taken nothing.",
    query,
    body: work.pullBody,
    bodyOptional: true,
    data: work.claimedJobs,
  }),
  ackJobs: define("operate", "post /work/ack", {
    id: "ackJobs",
    summary: "Complete runs",
    body: work.ackBody,
    ...runs,
  }),
  failJobs: define("operate", "post /work/fail", {
    id: "failJobs",
    summary: "Fail runs",
    description: "Each job runs again if it has attempts left; `state` tells.",
    body: work.failBody,
    ...runs,
  }),
  reportProgress: define("operate", "post /work/progress", {
    id: "reportProgress",
    summary: "Tell how far runs are",
    body: work.progressBody,
    ...runs,
  }),
  writeLogs: define("operate", "post /work/log", {
    id: "writeLogs",
    summary: "Keep lines of runs' logs",
    body: work.logBody,
    ...runs,
  }),
  renewJobs: define("operate", "post /work/renew", {
    id: "renewJobs",
    summary: "Keep the leases of runs",
    body: work.runsBody,
    ...runs,
  }),
  releaseJobs: define("operate", "post /work/release", {
    id: "releaseJobs",
    summary: "Give runs back, not counted as attempts",
    body: work.runsBody,
    ...runs,
  }),
  listWorkers: define("read", "get /workers", {
    id: "listWorkers",
    summary: "The workers that were heard of in the last minute",
    query,
    data: work.workers,
  }),
  heartbeatWorker: define("operate", "put /workers/{worker}", {
    id: "heartbeatWorker",
    summary: "Keep a worker in the list, and the leases of all its jobs",
    ...one,
    body: work.heartbeatBody,
    bodyOptional: true,
    data: work.heartbeat,
  }),
  forgetWorker: define("operate", "delete /workers/{worker}", {
    id: "forgetWorker",
    summary: "Take a worker that has stopped off the list",
    ...one,
    data: work.workerParams,
  }),
};
