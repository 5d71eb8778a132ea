import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { isFinished } from "../../job.ts";
import type {
  StoreBatch,
  StoredAnswer,
  StoredEvent,
  StoredJob,
  StoredPlace,
  StoredQueue,
  StoredRollup,
  StoredSecret,
} from "../../store-at-rest.ts";
import { isWell, type ScheduleRecord, type WebhookRecord } from "../../queue-adapter.ts";
import { BulkInsert } from "./bulk-statement.ts";
import { LabelSets } from "./label-sets.ts";
import { rollupColumns } from "./reading.ts";
import {
  encodeOptions,
  encodePayload,
  encodeReport,
  labels,
  optionsOf,
  payloadFiles,
  Phase,
} from "./rows.ts";
import { prepareStatements, type Statements } from "./statements.ts";

const MINUTE_MS = 60_000;

/** The lane of a tenant's typed queues together. */
const TYPED_QUEUES = "";

/** Fills a store that nobody serves; each call is part of its caller's transaction. */
export class Writer {
  readonly #db: DatabaseSync;
  readonly #sql: Statements;
  readonly #labels: LabelSets;
  readonly #lanes = new Map<string, number>();
  readonly #jobs: BulkInsert;
  readonly #open: BulkInsert;
  readonly #finished: BulkInsert;
  readonly #ord: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#sql = prepareStatements(db);
    this.#labels = new LabelSets(db);
    this.#jobs = new BulkInsert(db, "job", {
      own: ["id", "lane", "priority", "created_at", "options", "data"],
    });
    this.#open = new BulkInsert(db, "open_job", {
      own: [
        "lane",
        "id",
        "phase",
        "priority",
        "run_at",
        "expire_at",
        "attempts",
        "crashes",
        "error",
        "over",
      ],
    });
    this.#finished = new BulkInsert(db, "finished_job", {
      own: [
        "lane",
        "phase",
        "id",
        "run_at",
        "started_at",
        "finished_at",
        "attempts",
        "crashes",
        "worker",
        "result",
        "error",
        "report",
      ],
    });
    this.#ord = db.prepare("UPDATE open_job SET ord = ? WHERE lane = ? AND id = ?");
    for (const { no, tenant, queue } of this.#sql.allLanes.all()) {
      this.#lanes.set(`${String(tenant)} ${String(queue)}`, Number(no));
    }
  }

  write(batch: StoreBatch): void {
    const { section, records } = batch;
    switch (section) {
      case "queues":
        for (const queue of records as StoredQueue[]) this.#queue(queue);
        return;
      case "jobs":
        return this.#writeJobs(records as StoredJob[]);
      case "order":
        return this.#order(records as StoredPlace[]);
      case "rollups":
        return this.#rollups(records as StoredRollup[]);
      case "schedules":
        for (const schedule of records as ScheduleRecord[]) this.#schedule(schedule);
        return;
      case "webhooks":
        for (const webhook of records as WebhookRecord[]) this.#webhook(webhook);
        return;
      case "secrets":
        for (const { tenant, queue, secret } of records as StoredSecret[]) {
          this.#run(
            "INSERT OR REPLACE INTO incoming_secret VALUES (?, ?, ?)",
            tenant,
            queue,
            secret,
          );
        }
        return;
      case "answers":
        return this.#answers(records as StoredAnswer[]);
      case "outbox":
        for (const event of records as StoredEvent[]) {
          this.#run("INSERT INTO outbox (event) VALUES (?)", JSON.stringify(event));
        }
        return;
    }
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#db.prepare(sql).run(...values);
  }

  #laneNo(tenant: string, queue: string): number {
    const no = this.#lanes.get(`${tenant} ${queue}`);
    if (no === undefined) throw new TypeError(`There is no queue ${queue} of ${tenant}`);
    return no;
  }

  #addLane(tenant: string, queue: string, typed: boolean): number {
    const key = `${tenant} ${queue}`;
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const { lastInsertRowid } = this.#sql.insertLane.run(tenant, queue, typed ? 1 : 0);
    this.#lanes.set(key, Number(lastInsertRowid));
    return Number(lastInsertRowid);
  }

  #queue({
    tenant,
    queue,
    typed,
    paused,
    rateLimit,
    concurrency,
    indexedPaths,
  }: StoredQueue): void {
    const no = this.#addLane(tenant, queue, typed);
    if (typed) this.#addLane(tenant, TYPED_QUEUES, true);
    this.#sql.updateLane.run(paused ? 1 : 0, rateLimit, concurrency, no);
    this.#run("DELETE FROM payload_index WHERE lane = ?", no);
    const newest = Number(this.#sql.getMeta.get("next_id")?.["value"]) - 1;
    for (const path of indexedPaths) {
      // The engine takes the jobs in once it serves.
      this.#run(
        "INSERT INTO payload_index (lane, path, until, reached) VALUES (?, ?, ?, 0)",
        no,
        path,
        newest,
      );
    }
  }

  #writeJobs(records: readonly StoredJob[]): void {
    /** By lane, phase and minute, for pruning. */
    const ended = new Map<string, { lane: number; phase: Phase; at: number; ids: number[] }>();
    for (const record of records) {
      const { job, started, expireAt, dependencies } = record;
      const { id, tenant, queue, priority, createdAt, state, attemptsMade, crashes } = job;
      const lane = this.#laneNo(tenant, queue);
      const options = optionsOf(job, job.dependsOn);
      const about = [id, lane, priority, createdAt, encodeOptions(options)];
      this.#jobs.add([], [...about, encodePayload(job.data)]);
      const runAt = job.runAt === createdAt ? null : job.runAt;
      const error = job.error === null ? null : JSON.stringify(job.error);
      if (isFinished(state)) {
        const phase = Phase[state];
        const at = job.finishedAt ?? createdAt;
        const result = job.result === null ? null : encodePayload(job.result);
        const report = encodeReport({
          progress: state === "completed" ? 0 : job.progress,
          message: job.progressMessage,
          stats: job.stats,
        });
        const run = [runAt, job.startedAt, at, attemptsMade, crashes, job.worker];
        this.#finished.add([], [lane, phase, id, ...run, result, error, report]);
        const key = `${lane} ${phase} ${Math.floor(at / MINUTE_MS)}`;
        const together = ended.get(key);
        if (together === undefined) ended.set(key, { lane, phase, at, ids: [id] });
        else {
          together.at = Math.max(together.at, at);
          together.ids.push(id);
        }
        if (state === "failed") this.#sql.insertFailure.run(id, lane, error, at);
      } else {
        const phase = state === "delayed" || state === "blocked" ? Phase[state] : Phase.ready;
        const times = [runAt, expireAt, attemptsMade, crashes];
        this.#open.add([], [lane, id, phase, priority, ...times, error, started ? 1 : 0]);
        if (job.uniqueKey !== null) this.#sql.insertUnique.run(lane, job.uniqueKey, id);
        for (const { id: parent, done } of dependencies) {
          this.#sql.insertDependency.run(parent, id, done ? 1 : 0);
        }
      }
      for (const [kind, value] of labels(options)) this.#labels.add(tenant, kind, value, id);
      for (const payload of [job.data, job.result]) {
        if (payload === null || typeof payload === "string") continue;
        for (const { file } of payloadFiles(encodePayload(payload))) this.#sql.insertFile.run(file);
      }
      record.logs.forEach(({ at, line }, i) => this.#sql.insertLog.run(id, i + 1, at, line));
      for (const run of record.runs) {
        const { number, startedAt, endedAt, outcome, worker, error: why, nextAt } = run;
        this.#sql.insertRun.run(id, number, startedAt, endedAt, outcome, worker, why, nextAt);
      }
    }
    this.#labels.write();
    this.#jobs.flush();
    this.#open.flush();
    this.#finished.flush();
    for (const { lane, phase, at, ids } of ended.values()) {
      this.#sql.logFinished.run(phase, at, lane, JSON.stringify(ids));
    }
  }

  /**
   * Ids mostly rise with the places, and then they are the places. From the first that does not on, jobs get numbers that
   * no job has.
   */
  #order(places: readonly StoredPlace[]): void {
    let next = Number(this.#sql.getMeta.get("next_id")?.["value"]);
    const kept = this.#sql.getMeta.get("last_place")?.["value"];
    let last = kept === undefined ? undefined : (JSON.parse(String(kept)) as LastPlace);
    for (const { tenant, queue, id, priority } of places) {
      const lane = this.#laneNo(tenant, queue);
      const behind = last?.lane === lane && last.priority === priority ? last.ord : 0;
      const ord = id > behind ? id : next++;
      if (ord !== id) this.#ord.run(ord, lane, id);
      last = { lane, priority, ord };
    }
    this.#sql.putMeta.run("next_id", next);
    if (last === undefined || places.length === 0) {
      this.#run("DELETE FROM meta WHERE key = 'last_place'");
    } else {
      this.#sql.putMeta.run("last_place", JSON.stringify(last));
    }
  }

  #rollups(rollups: readonly StoredRollup[]): void {
    const columns = ["span", "at", "lane", "level", "project", ...rollupColumns];
    const insert = this.#db.prepare(
      `INSERT OR REPLACE INTO rollup (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    );
    for (const { tenant, queue, span, at, level, project, sums } of rollups) {
      const lane =
        queue === TYPED_QUEUES ? this.#addLane(tenant, queue, true) : this.#laneNo(tenant, queue);
      insert.run(span, at, lane, level, project, ...sums);
    }
  }

  #schedule(schedule: ScheduleRecord): void {
    const { tenant, name, version } = schedule;
    this.#run(
      "INSERT OR REPLACE INTO schedule VALUES (?, ?, ?)",
      tenant,
      name,
      JSON.stringify(schedule),
    );
    this.#run(
      `INSERT INTO meta VALUES ('schedule_version', ?)
       ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)`,
      version,
    );
  }

  #webhook({ id, health, ...record }: WebhookRecord): void {
    this.#run(
      "INSERT OR REPLACE INTO webhook (id, tenant, record, health) VALUES (?, ?, ?, ?)",
      id,
      record.tenant,
      JSON.stringify(record),
      isWell(health) ? null : JSON.stringify(health),
    );
  }

  #answers(answers: readonly StoredAnswer[]): void {
    const keep = this.#db.prepare("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)");
    for (const { tenant, key, at, outcome, note } of answers) {
      keep.run(tenant, key, at, JSON.stringify(outcome), note);
    }
  }
}

/** The place that was given last, for the next step. */
interface LastPlace {
  readonly lane: number;
  readonly priority: number;
  readonly ord: number;
}
