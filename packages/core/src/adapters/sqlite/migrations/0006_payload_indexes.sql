-- Paths that a lane's jobs can be found by. Jobs after `until` are taken in when they are added, those before it bit by
-- bit: up to `reached` they are.
CREATE TABLE payload_index (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  lane INTEGER NOT NULL,
  path TEXT NOT NULL,
  until INTEGER NOT NULL,
  reached INTEGER NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0 -- its values are being deleted
) STRICT;

CREATE TABLE payload_value (
  idx INTEGER NOT NULL,
  value TEXT NOT NULL,
  id INTEGER NOT NULL,
  PRIMARY KEY (idx, value, id)
) WITHOUT ROWID, STRICT;
