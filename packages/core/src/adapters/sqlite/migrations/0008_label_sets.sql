-- Jobs by tag, name, project, batch and schedule: of each bucket of 1,024 ids those that have it, as `decodeBits` reads them.
CREATE TABLE label_set (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  bucket INTEGER NOT NULL,
  bits BLOB NOT NULL,
  PRIMARY KEY (tenant, kind, value, bucket)
) WITHOUT ROWID, STRICT;

INSERT INTO label_set
SELECT tenant, kind, value, id / 1024, id_set(id % 1024) FROM label GROUP BY tenant, kind, value, id / 1024;

DROP TABLE label;
