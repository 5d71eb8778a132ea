-- Times are epoch ms. Phases: 0 ready (waiting, or active when a claim holds it), 1 delayed, 2 blocked,
-- 3 completed, 4 failed, 5 cancelled.

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value ANY NOT NULL
) WITHOUT ROWID, STRICT;

-- One tenant's part of one queue. The queue '' stands for the tenant's typed queues together (statistics only).
CREATE TABLE lane (
  no INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  queue TEXT NOT NULL,
  typed INTEGER NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0,
  rate_limit INTEGER,
  concurrency INTEGER,
  UNIQUE (tenant, queue)
) STRICT;

-- What never changes about a job.
CREATE TABLE job (
  id INTEGER PRIMARY KEY,
  lane INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  options TEXT, -- JSON of what differs from the defaults
  data TEXT NOT NULL -- JSON, or '@' and JSON of the file that holds it
) STRICT;

-- Jobs that are not finished: small rows, so that a restart reads a backlog quickly.
CREATE TABLE open_job (
  lane INTEGER NOT NULL,
  id INTEGER NOT NULL,
  phase INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  ord INTEGER, -- place in the ready order; null = id
  run_at INTEGER, -- null = when it was created
  expire_at INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  error TEXT, -- JSON of the last failure
  over INTEGER NOT NULL DEFAULT 0, -- runs under claims up to this number have ended
  stop TEXT, -- why its run was told to stop
  report TEXT, -- JSON of its run's last progress report
  PRIMARY KEY (lane, id)
) WITHOUT ROWID, STRICT;

-- Who runs what: one row a claim. A run is over once its job is finished or `over` has reached the claim.
CREATE TABLE claim (
  no INTEGER PRIMARY KEY,
  worker TEXT,
  in_process INTEGER NOT NULL,
  timeout_from TEXT NOT NULL,
  lease_ms INTEGER NOT NULL,
  at INTEGER NOT NULL,
  ids TEXT NOT NULL -- JSON array of job ids
) STRICT;

CREATE TABLE finished_job (
  lane INTEGER NOT NULL,
  phase INTEGER NOT NULL,
  id INTEGER NOT NULL,
  run_at INTEGER, -- as open_job.run_at
  started_at INTEGER,
  finished_at INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  crashes INTEGER NOT NULL,
  worker TEXT,
  result TEXT, -- as job.data
  error TEXT,
  report TEXT, -- JSON of the last progress report
  PRIMARY KEY (lane, phase, id)
) WITHOUT ROWID, STRICT;

-- What finished when, one row a commit, lane and phase: what pruning reads.
CREATE TABLE finish_log (
  no INTEGER PRIMARY KEY,
  phase INTEGER NOT NULL,
  at INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  ids TEXT NOT NULL
) STRICT;
CREATE INDEX finish_log_age ON finish_log (phase, at);

-- Keys held by unfinished jobs.
CREATE TABLE unique_key (
  lane INTEGER NOT NULL,
  key TEXT NOT NULL,
  id INTEGER NOT NULL,
  PRIMARY KEY (lane, key)
) WITHOUT ROWID, STRICT;

-- Kept until the child is finished; `done` once the parent completed.
CREATE TABLE dependency (
  parent INTEGER NOT NULL,
  child INTEGER NOT NULL,
  done INTEGER NOT NULL,
  PRIMARY KEY (parent, child)
) WITHOUT ROWID, STRICT;
CREATE INDEX dependency_child ON dependency (child, done);

-- Tags, names, projects, batches and schedules of jobs, for filters.
CREATE TABLE label (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  id INTEGER NOT NULL,
  PRIMARY KEY (tenant, kind, value, id)
) WITHOUT ROWID, STRICT;

CREATE TABLE log_line (
  id INTEGER NOT NULL,
  n INTEGER NOT NULL,
  at INTEGER NOT NULL,
  line TEXT NOT NULL,
  PRIMARY KEY (id, n)
) WITHOUT ROWID, STRICT;

-- Statistics by lane, priority level and project, per minute; old minutes are folded into hours, hours into totals.
CREATE TABLE rollup (
  span TEXT NOT NULL, -- minute, hour, total
  at INTEGER NOT NULL, -- start of the span; 0 for totals
  lane INTEGER NOT NULL,
  level INTEGER NOT NULL,
  project TEXT NOT NULL,
  added INTEGER NOT NULL,
  completed INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  retried INTEGER NOT NULL,
  stalled INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  duration_sum INTEGER NOT NULL,
  duration_min INTEGER,
  duration_max INTEGER,
  wait_sum INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  peak INTEGER NOT NULL,
  PRIMARY KEY (lane, span, at, level, project)
) WITHOUT ROWID, STRICT;

CREATE TABLE schedule (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  record TEXT NOT NULL, -- JSON
  PRIMARY KEY (tenant, name)
) WITHOUT ROWID, STRICT;

CREATE TABLE webhook (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  record TEXT NOT NULL -- JSON
) STRICT;
