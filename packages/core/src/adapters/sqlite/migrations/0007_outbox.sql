-- Events that webhooks ask for, until their deliveries are added.
CREATE TABLE outbox (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  event TEXT NOT NULL -- JSON, without its cursor
) STRICT;

-- What deliveries have taught about a webhook: JSON; NULL: nothing bad.
ALTER TABLE webhook ADD COLUMN health TEXT;

-- What senders of events from outside sign with.
CREATE TABLE incoming_secret (
  tenant TEXT NOT NULL,
  queue TEXT NOT NULL,
  secret TEXT NOT NULL,
  PRIMARY KEY (tenant, queue)
) WITHOUT ROWID, STRICT;
