-- Runs that did not complete, the newest of each job; what completed is told by the job itself.
CREATE TABLE run (
  job INTEGER NOT NULL,
  n INTEGER NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  worker TEXT,
  error TEXT,
  next_at INTEGER,
  PRIMARY KEY (job, n)
) WITHOUT ROWID, STRICT;
