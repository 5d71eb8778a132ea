-- Failed jobs by what their errors have in common.
CREATE TABLE failure (
  id INTEGER PRIMARY KEY,
  lane INTEGER NOT NULL,
  grp TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX failure_group ON failure (lane, grp, id, at);

INSERT INTO failure SELECT id, lane, error_group(error), finished_at FROM finished_job WHERE phase = 4;

-- Names are found as tags are.
INSERT OR IGNORE INTO label
SELECT l.tenant, 'name', j.options ->> 'name', j.id FROM job j JOIN lane l ON l.no = j.lane
WHERE j.options ->> 'name' IS NOT NULL;
