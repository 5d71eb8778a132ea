/** What the document shows of each operation, by its `operationId`: what is sent, and what `data` comes back. */

const at = "2026-03-02T08:15:00.000Z";
const later = "2026-03-02T08:15:01.250Z";
const end = "2026-03-02T08:15:04.000Z";
const id = "5021";
const lease = "3f1c9a52-1";

const job = {
  id,
  tenant: "default",
  queue: "thumbnails",
  name: "cover",
  state: "completed",
  priority: 0,
  lifo: false,
  progress: 100,
  progressMessage: null,
  stats: null,
  createdAt: at,
  runAt: at,
  startedAt: later,
  finishedAt: end,
  attemptsMade: 1,
  maxAttempts: 3,
  crashes: 0,
  delayMs: 0,
  backoffMs: 1000,
  ttlMs: null,
  timeoutMs: null,
  uniqueKey: null,
  dependsOn: [],
  tags: ["shop"],
  project: null,
  batch: null,
  worker: "press-2",
  error: null,
  addedVia: "native",
  schedule: null,
};

const whole = { ...job, data: { image: "covers/7f3a.png", width: 320 }, result: { bytes: 18_204 } };
const newJob = {
  queue: "thumbnails",
  name: "cover",
  data: { image: "covers/7f3a.png", width: 320 },
  maxAttempts: 3,
  tags: ["shop"],
};
const outcomes = { outcomes: [{ id, state: "completed", error: null }] };
const renewed = { outcomes: [{ id, state: "active", error: null }] };
const runs = { items: [{ id, lease }] };

const counts = {
  waiting: 40,
  delayed: 2,
  blocked: 0,
  active: 5,
  completed: 310,
  failed: 3,
  cancelled: 1,
};
const queue = {
  name: "thumbnails",
  tenant: "default",
  typed: false,
  paused: false,
  rateLimit: 50,
  concurrency: null,
  indexedPaths: ["data.image"],
  counts,
};
const figures = {
  added: 361,
  completed: 310,
  failed: 3,
  cancelled: 1,
  retried: 7,
  stalled: 0,
  removed: 0,
  successRate: 99.04,
  durationAvgMs: 812.5,
  durationMinMs: 90,
  durationMaxMs: 5210,
  waitAvgMs: 37.2,
  tokens: 0,
  peakConcurrency: 8,
};

const newSchedule = {
  name: "morning-covers",
  cron: "30 6 * * 1-5",
  timezone: "Europe/Madrid",
  job: { queue: "thumbnails", data: { folder: "covers" } },
};
const words = {
  en: "At 06:30, Monday through Friday",
  es: "A las 06:30, de lunes a viernes",
};
const schedule = {
  ...newSchedule,
  tenant: "default",
  words,
  enabled: true,
  description: null,
  queue: "thumbnails",
  createdAt: at,
  nextRunAt: "2026-03-03T05:30:00.000Z",
  lastRunAt: null,
  addedVia: "native",
};

const newWebhook = {
  url: "https://hooks.example.com/jobs",
  events: ["job.failed"],
  secret: "keep-me-to-yourself",
};
const webhook = {
  id: "17",
  tenant: "default",
  url: newWebhook.url,
  events: newWebhook.events,
  queue: null,
  signed: true,
  enabled: true,
  disabledReason: null,
  failingSince: null,
  givenUp: 0,
  dropped: 0,
  createdAt: at,
};
const delivery = {
  id: "5044",
  event: "job.failed",
  jobId: id,
  state: "delivered",
  attempts: 1,
  status: 204,
  durationMs: 38,
  error: null,
  createdAt: at,
  lastAttemptAt: later,
  nextAttemptAt: null,
};
const pendingDelivery = {
  ...delivery,
  state: "pending",
  attempts: 0,
  status: null,
  durationMs: null,
  lastAttemptAt: null,
};

const file = {
  name: "wells.csv",
  bytes: 48_211,
  modifiedAt: at,
  contentType: "text/csv",
};
const path = "imports/2026/wells.csv";

interface Example {
  readonly body?: unknown;
  /** In the envelope, or by itself where the answer has none. */
  readonly data?: unknown;
}

export const examples: Readonly<Record<string, Example>> = {
  addJob: { body: newJob, data: { id } },
  addJobs: {
    body: { jobs: [newJob, { queue: "thumbnails", uniqueKey: "cover-1984" }] },
    data: {
      added: 1,
      refused: 1,
      outcomes: [
        { id, error: null },
        { id: null, error: { code: "DUPLICATE_JOB", message: "Duplicate job", jobId: "5020" } },
      ],
    },
  },
  listJobs: { data: { items: [job], total: 361, next: id } },
  actOnJobs: { body: { action: "retry", filter: { state: ["failed"], queue: ["thumbnails"] } } },
  getJob: { data: whole },
  removeJob: { data: { id, state: null } },
  getJobData: { data: whole.data },
  getJobResult: { data: whole.result },
  getJobLogs: { data: { items: [{ at: later, line: "320 x 480" }], total: 1 } },
  getJobAttempts: {
    data: {
      items: [
        {
          run: 1,
          worker: "press-2",
          startedAt: later,
          endedAt: end,
          outcome: "completed",
          error: null,
          nextAt: null,
        },
      ],
    },
  },
  getJobDependencies: {
    data: { dependsOn: [job], dependents: [], gone: ["4980"], totalDependents: 0 },
  },
  listJobFiles: { data: { items: [{ ...file, href: `/api/native/jobs/${id}/files/wells.csv` }] } },
  waitForJob: { body: { timeoutMs: 10_000 }, data: whole },
  cancelJob: { body: { reason: "ordered twice" }, data: { id, state: "cancelled" } },
  retryJob: { data: { id, state: "waiting" } },
  promoteJob: { data: { id, state: "waiting" } },
  requeueJob: { body: { data: { image: "covers/7f3b.png" } }, data: { id: "5022" } },

  pullJobs: {
    body: { queues: ["thumbnails"], limit: 1, waitMs: 20_000, worker: "press-2" },
    data: {
      items: [
        {
          ...job,
          state: "active",
          progress: 0,
          finishedAt: null,
          attemptsMade: 0,
          lease,
          leaseMs: 300_000,
          data: whole.data,
        },
      ],
    },
  },
  ackJobs: { body: { items: [{ id, lease, result: whole.result }] }, data: outcomes },
  failJobs: {
    body: { items: [{ id, lease, error: "The image is empty", final: true }] },
    data: { outcomes: [{ id, state: "failed", error: null }] },
  },
  reportProgress: { body: { items: [{ id, lease, progress: 40 }] }, data: renewed },
  writeLogs: { body: { items: [{ id, lease, lines: ["320 x 480"] }] }, data: renewed },
  renewJobs: { body: runs, data: renewed },
  releaseJobs: { body: runs, data: { outcomes: [{ id, state: "waiting", error: null }] } },
  listWorkers: {
    data: {
      items: [
        {
          id: "press-2",
          tenant: "default",
          queues: ["thumbnails"],
          concurrency: 8,
          active: 5,
          jobsProcessed: 310,
          startedAt: at,
          lastHeartbeatAt: end,
          memoryBytes: 91_226_112,
          eventLoopLagMs: 1.4,
        },
      ],
    },
  },
  heartbeatWorker: {
    body: { queues: ["thumbnails"], concurrency: 8, active: 3, jobsProcessed: 310 },
    data: { leaseMs: 300_000 },
  },
  forgetWorker: { data: { worker: "press-2" } },

  listQueues: { data: { items: [queue] } },
  getQueue: { data: queue },
  configureQueue: { body: { rateLimit: 50, indexedPaths: ["data.image"] }, data: queue },
  pauseQueue: { data: { ...queue, paused: true } },
  resumeQueue: { data: queue },
  drainQueue: { body: { states: ["waiting", "delayed"] } },
  getStats: { data: { counts, total: figures, groups: [{ key: "thumbnails", ...figures }] } },
  getMetrics: {
    data: {
      interval: "hour",
      from: "2026-03-02T08:00:00.000Z",
      to: "2026-03-02T09:00:00.000Z",
      series: [
        { queue: null, points: [{ at: "2026-03-02T08:00:00.000Z", ...figures, backlog: 47 }] },
      ],
    },
  },
  listErrors: {
    data: {
      items: [
        {
          group: "b1946ac9",
          queue: "thumbnails",
          message: "The image is empty",
          count: 3,
          firstAt: at,
          lastAt: end,
          sampleJob: id,
          sampleMessage: "The image is empty",
          perHour: [...Array(23).fill(0), 3],
        },
      ],
    },
  },

  listSchedules: { data: { items: [schedule] } },
  addSchedule: { body: newSchedule, data: schedule },
  previewSchedule: {
    body: { cron: newSchedule.cron, timezone: newSchedule.timezone, count: 1 },
    data: {
      words,
      runs: [{ at: "2026-03-03T05:30:00.000Z", local: "2026-03-03T06:30:00+01:00" }],
    },
  },
  getSchedule: { data: schedule },
  updateSchedule: {
    body: { enabled: false },
    data: { ...schedule, enabled: false, nextRunAt: null },
  },
  removeSchedule: { data: { name: schedule.name } },
  runSchedule: { data: { id } },

  listWebhooks: { data: { items: [webhook] } },
  addWebhook: { body: newWebhook, data: webhook },
  getWebhook: { data: webhook },
  updateWebhook: { body: { enabled: false }, data: { ...webhook, enabled: false } },
  removeWebhook: { data: { id: webhook.id } },
  listDeliveries: { data: { items: [delivery], total: 1, next: null } },
  testWebhook: { data: { ...pendingDelivery, event: "webhook.test", jobId: null } },
  getDelivery: {
    data: {
      ...delivery,
      body: '{"event":"job.failed","queue":"thumbnails","job_id":8123,"timestamp":1772439300000,"data":{"final":true},"error":"boat.png is no image"}',
      history: [{ at, durationMs: 38, status: 204, error: null, response: "" }],
    },
  },
  replayDelivery: { data: pendingDelivery },
  setIncomingSecret: {
    body: { secret: "keep-me-to-yourself" },
    data: { queue: "thumbnails", signed: true },
  },

  listFiles: {
    data: {
      items: [
        { name: "2025", path: "imports/2025", kind: "folder", bytes: null, modifiedAt: null },
        { name: file.name, path, kind: "file", bytes: file.bytes, modifiedAt: at },
      ],
    },
  },
  putFile: { data: { path, ...file } },
  removeFile: { data: { path } },

  whoami: {
    data: {
      subject: "nightly-import",
      tenant: "default",
      roles: ["OPERATOR"],
      may: ["read", "operate"],
      open: false,
      expiresAt: "2026-04-01T00:00:00.000Z",
      server: { version: "1.0.0", engine: "sqlite", node: "atlas-4121" },
    },
  },
  getHealth: {
    data: {
      status: "healthy",
      engine: "sqlite",
      reachable: true,
      latencyMs: 0.1,
      warnings: [],
      node: "atlas-4121",
      startedAt: at,
    },
  },
  listJobTypes: {
    data: {
      items: [
        {
          queue: "data_export",
          title: "Data export",
          defaults: { attempts: 3, backoffMs: 1000, timeoutMs: 600_000, priority: 0 },
          data: { type: "object" },
        },
      ],
    },
  },
  listNodes: {
    data: {
      items: [
        {
          id: "atlas-4121",
          host: "atlas",
          port: 3001,
          isLeader: true,
          startedAt: at,
          lastHeartbeatAt: end,
        },
      ],
    },
  },
  getSettings: { data: { host: "localhost", http: { ports: [3001, 6790] } } },
};

export const exampleTime = at;
