import { tenantQuery } from "../schemas/basics.ts";
import { actionProgress } from "../schemas/jobs.ts";
import * as queues from "../schemas/queues.ts";
import { define, lines } from "./define.ts";

const one = { params: queues.queueParams, query: tenantQuery };

export const queueOperations = {
  listQueues: define("read", "get /queues", {
    id: "listQueues",
    summary: "All queues, by name",
    query: tenantQuery,
    data: queues.queues,
  }),
  getQueue: define("read", "get /queues/{queue}", {
    id: "getQueue",
    summary: "A queue",
    ...one,
    data: queues.queue,
    refused: ["QUEUE_NOT_FOUND"],
  }),
  configureQueue: define("administer", "patch /queues/{queue}", {
    id: "configureQueue",
    summary: "Set a queue's limits and indexes; makes the queue if need be",
    description: "What is absent stays as it is.",
    ...one,
    body: queues.queueSettings,
    data: queues.queue,
  }),
  pauseQueue: define("operate", "post /queues/{queue}/pause", {
    id: "pauseQueue",
    summary: "Start no more jobs of a queue; what runs goes on",
    ...one,
    data: queues.queue,
  }),
  resumeQueue: define("operate", "post /queues/{queue}/resume", {
    id: "resumeQueue",
    summary: "Start jobs of a queue again",
    ...one,
    data: queues.queue,
  }),
  setIncomingSecret: define("administer", "put /queues/{queue}/incoming-secret", {
    id: "setIncomingSecret",
    summary: "Let events from outside into a queue by their signature",
    description: "Of `POST /webhooks/incoming/{queue}`. The secret is never shown again.",
    ...one,
    body: queues.incomingSecret,
    data: queues.incomingSecretView,
  }),
  drainQueue: define("operate", "post /queues/{queue}/drain", {
    id: "drainQueue",
    summary: "Remove the jobs of a queue that wait",
    description: "Streams its progress, as `actOnJobs` does.",
    ...one,
    body: queues.drainBody,
    bodyOptional: true,
    responses: { 200: lines("Progress", actionProgress) },
    refused: ["QUEUE_NOT_FOUND"],
  }),
  getStats: define("read", "get /stats", {
    id: "getStats",
    summary: "How many jobs there are, and what happened in a period",
    query: queues.statsQuery,
    data: queues.stats,
  }),
  getMetrics: define("read", "get /metrics", {
    id: "getMetrics",
    summary: "What happened, by 5 seconds, minutes or hours",
    query: queues.metricsQuery,
    data: queues.metrics,
  }),
  listErrors: define("read", "get /errors", {
    id: "listErrors",
    summary: "Failed jobs, grouped by their error, the largest group first",
    query: queues.errorsQuery,
    data: queues.errorGroups,
  }),
};
