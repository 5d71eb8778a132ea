-- Jobs from this id on that are in neither table wait: see OpenJobs.
INSERT INTO meta VALUES ('open_from', coalesce((SELECT value FROM meta WHERE key = 'next_id'), 1));
