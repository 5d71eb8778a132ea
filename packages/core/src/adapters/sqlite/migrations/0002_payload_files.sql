-- Files that data and results of jobs lie in, so that one that belongs to no job is known for what it is.
CREATE TABLE payload_file (
  file TEXT PRIMARY KEY
) WITHOUT ROWID, STRICT;

INSERT INTO payload_file
SELECT substr(data, 2) ->> 'file' FROM job WHERE data LIKE '@%'
UNION
SELECT substr(result, 2) ->> 'file' FROM finished_job WHERE result LIKE '@%';
