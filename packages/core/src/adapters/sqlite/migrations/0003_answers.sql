-- What calls with an idempotency key were answered.
CREATE TABLE answer (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  at INTEGER NOT NULL,
  outcome TEXT NOT NULL, -- JSON
  note TEXT NOT NULL,
  PRIMARY KEY (tenant, key)
) WITHOUT ROWID, STRICT;
CREATE INDEX answer_age ON answer (at);
