import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Lane } from "./lanes.ts";
import {
  decodeOptions,
  type FinishedPhase,
  type FinishedRow,
  type OpenRow,
  Phase,
} from "./rows.ts";

/** Columns 0 to 5 are the job's, 6 to 15 the open row's, null where `OpenJobs` has put it off. */
export type OpenTuple = readonly [
  id: number,
  lane: number,
  priority: number,
  createdAt: number,
  options: string | null,
  data: string,
  phase: Phase | null,
  ord: number | null,
  runAt: number | null,
  expireAt: number | null,
  attempts: number | null,
  crashes: number | null,
  error: string | null,
  over: number | null,
  stop: string | null,
  report: string | null,
];

/** An open row's columns, null when it is finished as well, then the finished row's, null when it is open. */
export type JobTuple = readonly [
  ...OpenTuple,
  phase: FinishedPhase | null,
  runAt: number | null,
  startedAt: number | null,
  finishedAt: number,
  attempts: number,
  crashes: number,
  worker: string | null,
  result: string | null,
  error: string | null,
  report: string | null,
];

/** With what matters only when a run outlived the process that served it. */
export type RevivedRow = OpenRow & { readonly stop: string | null; readonly report: string | null };

export function openRow(row: OpenTuple | JobTuple, lane: Lane): RevivedRow {
  return {
    id: row[0],
    lane,
    priority: row[2],
    createdAt: row[3],
    options: decodeOptions(row[4]),
    data: row[5],
    phase: row[6] ?? Phase.ready,
    ord: row[7] ?? row[0],
    runAt: row[8] ?? row[17] ?? row[3],
    expireAt: row[9],
    attempts: row[10] ?? 0,
    crashes: row[11] ?? 0,
    error: row[12],
    over: row[13] ?? 0,
    stop: row[14],
    report: row[15],
  };
}

export function finishedRow(row: JobTuple): FinishedRow | undefined {
  const phase = row[16];
  if (phase === null) return undefined;
  return {
    phase,
    startedAt: row[18],
    finishedAt: row[19],
    attempts: row[20],
    crashes: row[21],
    worker: row[22],
    result: row[23],
    error: row[24],
    report: row[25],
  };
}

export type Statements = ReturnType<typeof prepareStatements>;

/** Every statement that the store runs, prepared once. */
export function prepareStatements(db: DatabaseSync) {
  const factColumns = "j.id, j.lane, j.priority, j.created_at, j.options";
  const jobColumns = `${factColumns}, j.data`;
  const openColumns =
    "o.phase, o.ord, o.run_at, o.expire_at, o.attempts, o.crashes, o.error, o.over, o.stop, o.report";
  const finishedColumns = (result: string): string =>
    `f.phase, f.run_at, f.started_at, f.finished_at, f.attempts, f.crashes, f.worker, ${result}, f.error, f.report`;
  const ofFinished = "f.lane = j.lane AND f.phase IN (3, 4, 5) AND f.id = j.id";
  const wholeJob = `job j LEFT JOIN open_job o ON o.lane = j.lane AND o.id = j.id
    LEFT JOIN finished_job f ON ${ofFinished}`;
  const arrays = (sql: string): StatementSync => {
    const statement = db.prepare(sql);
    statement.setReturnArrays(true);
    return statement;
  };
  const one = (sql: string): StatementSync => db.prepare(sql);
  return {
    getMeta: one("SELECT value FROM meta WHERE key = ?"),
    putMeta: one(
      "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    ),
    allLanes: one("SELECT * FROM lane ORDER BY no"),
    deleteLane: one("DELETE FROM lane WHERE no = ?"),
    insertLane: one("INSERT INTO lane (tenant, queue, typed) VALUES (?, ?, ?)"),
    updateLane: one("UPDATE lane SET paused = ?, rate_limit = ?, concurrency = ? WHERE no = ?"),
    loadLane: arrays(
      "SELECT id, phase, priority, ord, run_at, expire_at FROM open_job WHERE lane = ? ORDER BY id",
    ),
    countFinished: one("SELECT lane, phase, count(*) n FROM finished_job GROUP BY lane, phase"),
    /** Of a job that is known to be open. */
    getOpen: arrays(
      `SELECT ${jobColumns}, ${openColumns} FROM job j LEFT JOIN open_job o ON o.lane = j.lane AND o.id = j.id
       WHERE j.id = ?`,
    ),
    getJob: arrays(
      `SELECT ${jobColumns}, ${openColumns}, ${finishedColumns("f.result")} FROM ${wholeJob} WHERE j.id = ?`,
    ),
    jobsAfter: arrays(
      `SELECT ${jobColumns}, ${openColumns}, ${finishedColumns("f.result")} FROM ${wholeJob} WHERE j.id > ? ORDER BY j.id LIMIT ?`,
    ),
    /** Without its payloads. */
    getOutline: arrays(
      `SELECT ${factColumns}, 'null', ${openColumns}, ${finishedColumns("NULL")} FROM ${wholeJob} WHERE j.id = ?`,
    ),
    findState: one(
      `SELECT j.lane, f.phase finished FROM job j LEFT JOIN finished_job f ON ${ofFinished} WHERE j.id = ?`,
    ),
    deleteFinished: one("DELETE FROM finished_job WHERE lane = ? AND phase = ? AND id = ?"),
    deleteJob: one("DELETE FROM job WHERE id = ?"),
    insertClaim: one("INSERT INTO claim VALUES (?, ?, ?, ?, ?, ?, ?)"),
    deleteClaim: one("DELETE FROM claim WHERE no = ?"),
    allClaims: one("SELECT * FROM claim ORDER BY no"),
    logFinished: one("INSERT INTO finish_log (phase, at, lane, ids) VALUES (?, ?, ?, ?)"),
    oldestFinished: one(
      "SELECT no, lane, ids FROM finish_log WHERE phase = ? AND at < ? ORDER BY at, no LIMIT 1",
    ),
    deleteFinishLog: one("DELETE FROM finish_log WHERE no = ?"),
    updateFinishLog: one("UPDATE finish_log SET ids = ? WHERE no = ?"),
    findUnique: one("SELECT id FROM unique_key WHERE lane = ? AND key = ?"),
    insertUnique: one("INSERT INTO unique_key VALUES (?, ?, ?)"),
    deleteUnique: one("DELETE FROM unique_key WHERE lane = ? AND key = ?"),
    countDependencies: one("SELECT count(*) n FROM dependency"),
    insertDependency: one("INSERT OR IGNORE INTO dependency VALUES (?, ?, ?)"),
    dependencyDone: one("UPDATE dependency SET done = 1 WHERE parent = ? AND child = ?"),
    dependents: one("SELECT child FROM dependency WHERE parent = ?"),
    oldestDependents: one("SELECT child FROM dependency WHERE parent = ? ORDER BY child LIMIT ?"),
    countDependents: one("SELECT count(*) n FROM dependency WHERE parent = ?"),
    hasDependents: one("SELECT 1 FROM dependency WHERE parent = ? LIMIT 1"),
    undone: one("SELECT 1 FROM dependency WHERE child = ? AND done = 0 LIMIT 1"),
    deleteDependencies: one("DELETE FROM dependency WHERE child = ?"),
    insertFailure: one("INSERT INTO failure VALUES (?, ?, error_group(?), ?)"),
    deleteFailure: one("DELETE FROM failure WHERE id = ?"),
    lastRun: one("SELECT max(n) n FROM run WHERE job = ?"),
    insertRun: one("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
    trimRuns: one("DELETE FROM run WHERE job = ? AND n <= ?"),
    runs: one(
      `SELECT n number, started_at startedAt, ended_at endedAt, outcome, worker, error, next_at nextAt
       FROM run WHERE job = ? ORDER BY n`,
    ),
    deleteRuns: one("DELETE FROM run WHERE job = ?"),
    lastLine: one("SELECT max(n) n FROM log_line WHERE id = ?"),
    insertLog: one("INSERT INTO log_line VALUES (?, ?, ?, ?)"),
    trimLogs: one("DELETE FROM log_line WHERE id = ? AND n <= ?"),
    insertFile: one("INSERT OR IGNORE INTO payload_file VALUES (?)"),
    deleteFile: one("DELETE FROM payload_file WHERE file = ?"),
    filesInUse: arrays(
      "SELECT file FROM payload_file WHERE file IN (SELECT value FROM json_each(?))",
    ),
    deleteLogs: one("DELETE FROM log_line WHERE id = ?"),
  };
}
