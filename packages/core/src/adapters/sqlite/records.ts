import type { DatabaseSync } from "node:sqlite";
import type { Clock } from "../../clock.ts";
import { QueueError } from "../../errors.ts";
import {
  ALL_TENANTS,
  goodHealth,
  type LogLine,
  type NodeRecord,
  type Schedule,
  type ScheduleRecord,
  type TenantScope,
  type WebhookHealth,
  type WebhookNote,
  type WebhookInput,
  type WebhookRecord,
  type WorkerRecord,
} from "../../queue-adapter.ts";

/** Small things stored whole: schedules and webhooks on disk; workers and nodes, which make themselves known, not. */
export class Records {
  readonly #clock: Clock;
  readonly #workers = new Map<string, WorkerRecord>();
  readonly #nodes = new Map<string, NodeRecord>();
  readonly #sql;

  constructor(db: DatabaseSync, clock: Clock) {
    this.#clock = clock;
    this.#sql = {
      ping: db.prepare("SELECT max(no) FROM lane"),
      schedules: db.prepare(
        "SELECT record FROM schedule WHERE ? IN ('*', tenant) ORDER BY tenant, name",
      ),
      schedule: db.prepare("SELECT record FROM schedule WHERE tenant = ? AND name = ?"),
      putSchedule: db.prepare(
        "INSERT INTO schedule VALUES (?, ?, ?) ON CONFLICT (tenant, name) DO UPDATE SET record = excluded.record",
      ),
      nextVersion: db.prepare(
        `INSERT INTO meta VALUES ('schedule_version', 1)
         ON CONFLICT (key) DO UPDATE SET value = value + 1 RETURNING value`,
      ),
      deleteSchedule: db.prepare("DELETE FROM schedule WHERE ? IN ('*', tenant) AND name = ?"),
      webhooks: db.prepare(
        "SELECT id, record, health FROM webhook WHERE ? IN ('*', tenant) ORDER BY id",
      ),
      webhook: db.prepare("SELECT record FROM webhook WHERE id = ? AND tenant = ?"),
      insertWebhook: db.prepare("INSERT INTO webhook (tenant, record) VALUES (?, ?)"),
      updateWebhook: db.prepare("UPDATE webhook SET record = ?, health = NULL WHERE id = ?"),
      tenantOfWebhook: db.prepare("SELECT tenant FROM webhook WHERE id = ?"),
      healthOfWebhook: db.prepare("SELECT health FROM webhook WHERE id = ?"),
      noteWebhook: db.prepare("UPDATE webhook SET health = ? WHERE id = ?"),
      incoming: db.prepare("SELECT secret FROM incoming_secret WHERE tenant = ? AND queue = ?"),
      putIncoming: db.prepare(
        `INSERT INTO incoming_secret VALUES (?, ?, ?)
         ON CONFLICT (tenant, queue) DO UPDATE SET secret = excluded.secret`,
      ),
      deleteIncoming: db.prepare("DELETE FROM incoming_secret WHERE tenant = ? AND queue = ?"),
      deleteWebhook: db.prepare("DELETE FROM webhook WHERE ? IN ('*', tenant) AND id = ?"),
      logs: db.prepare("SELECT at, line FROM log_line WHERE id = ? ORDER BY n LIMIT ? OFFSET ?"),
      countLogs: db.prepare("SELECT count(*) n FROM log_line WHERE id = ?"),
    };
  }

  /** A trip to the store. */
  ping(): true {
    this.#sql.ping.get();
    return true;
  }

  logs(id: number, offset: number, limit: number): { lines: LogLine[]; total: number } {
    const lines = this.#sql.logs.all(id, limit, offset) as unknown as LogLine[];
    return {
      lines: lines.map(({ at, line }) => ({ at, line })),
      total: Number(this.#sql.countLogs.get(id)?.["n"]),
    };
  }

  schedules(tenant: TenantScope): ScheduleRecord[] {
    return this.#sql.schedules.all(tenant).map((row) => scheduleOf(row["record"]));
  }

  #schedule(tenant: string, name: string): ScheduleRecord | undefined {
    const row = this.#sql.schedule.get(tenant, name);
    return row === undefined ? undefined : scheduleOf(row["record"]);
  }

  putSchedule(schedule: Schedule, replaces: number | null): number | null {
    const { tenant, name } = schedule;
    const version = this.#schedule(tenant, name)?.version ?? null;
    return version === replaces ? this.#writeSchedule(schedule) : null;
  }

  #writeSchedule(schedule: Schedule): number {
    const version = Number(this.#sql.nextVersion.get()?.["value"]);
    const record: ScheduleRecord = { ...schedule, version };
    this.#sql.putSchedule.run(schedule.tenant, schedule.name, JSON.stringify(record));
    return version;
  }

  deleteSchedule(tenant: TenantScope, name: string): boolean {
    return this.#sql.deleteSchedule.run(tenant, name).changes > 0;
  }

  /** Moves a schedule on from `due`; false when it is not at `due` any more. */
  moveSchedule(tenant: string, name: string, due: number, nextRun: number | null): boolean {
    const schedule = this.#schedule(tenant, name);
    if (schedule === undefined || !schedule.enabled || schedule.nextRun !== due) return false;
    this.#writeSchedule({ ...schedule, nextRun, lastRun: due });
    return true;
  }

  webhooks(tenant: TenantScope): WebhookRecord[] {
    return this.#sql.webhooks.all(tenant).map((row) => ({
      ...webhookOf(row["record"]),
      id: Number(row["id"]),
      health: healthOf(row["health"]),
    }));
  }

  putWebhook(webhook: WebhookInput, now: number): WebhookRecord {
    const { id, ...fields } = webhook;
    if (id === undefined) {
      const record = { ...fields, createdAt: now };
      const added = this.#sql.insertWebhook.run(fields.tenant, JSON.stringify(record));
      return { ...record, id: Number(added.lastInsertRowid), health: goodHealth };
    }
    const found = this.#sql.webhook.get(id, fields.tenant);
    if (found === undefined) throw new QueueError("WEBHOOK_NOT_FOUND", `Webhook ${id} not found`);
    const { createdAt } = webhookOf(found["record"]);
    this.#sql.updateWebhook.run(JSON.stringify({ ...fields, createdAt }), id);
    return { ...fields, id, createdAt, health: goodHealth };
  }

  deleteWebhook(tenant: TenantScope, id: number): boolean {
    return this.#sql.deleteWebhook.run(tenant, id).changes > 0;
  }

  /** Undefined for a webhook that is gone. */
  tenantOfWebhook(id: number): string | undefined {
    return this.#sql.tenantOfWebhook.get(id)?.["tenant"] as string | undefined;
  }

  noteWebhook({ id, verdict, dropped = 0 }: WebhookNote): void {
    const known = healthOf(this.#sql.healthOfWebhook.get(id)?.["health"] ?? null);
    const health = { ...known, ...verdict, dropped: known.dropped + dropped };
    this.#sql.noteWebhook.run(JSON.stringify(health), id);
  }

  incomingSecret(tenant: string, queue: string): string | null {
    return (this.#sql.incoming.get(tenant, queue)?.["secret"] as string | undefined) ?? null;
  }

  putIncomingSecret(tenant: string, queue: string, secret: string | null): void {
    if (secret === null) this.#sql.deleteIncoming.run(tenant, queue);
    else this.#sql.putIncoming.run(tenant, queue, secret);
  }

  heartbeatWorker(worker: Omit<WorkerRecord, "startedAt" | "lastHeartbeat">): void {
    const now = this.#clock.now();
    const key = `${worker.tenant} ${worker.id}`;
    const startedAt = this.#workers.get(key)?.startedAt ?? now;
    this.#workers.set(key, { ...worker, startedAt, lastHeartbeat: now });
  }

  workers(tenant: TenantScope, withinMs: number): WorkerRecord[] {
    const since = this.#clock.now() - withinMs;
    // Shared workers serve every tenant.
    return [...this.#workers.values()].filter(
      (worker) =>
        worker.lastHeartbeat >= since &&
        (tenant === ALL_TENANTS || worker.tenant === tenant || worker.tenant === ALL_TENANTS),
    );
  }

  forgetWorker(tenant: TenantScope, id: string): void {
    this.#workers.delete(`${tenant} ${id}`);
  }

  heartbeatNode(node: Pick<NodeRecord, "id" | "host" | "port">): void {
    const now = this.#clock.now();
    const startedAt = this.#nodes.get(node.id)?.startedAt ?? now;
    this.#nodes.set(node.id, { ...node, isLeader: true, startedAt, lastHeartbeat: now });
  }

  nodes(withinMs: number): NodeRecord[] {
    const since = this.#clock.now() - withinMs;
    return [...this.#nodes.values()].filter((node) => node.lastHeartbeat >= since);
  }
}

function scheduleOf(record: unknown): ScheduleRecord {
  return JSON.parse(String(record)) as ScheduleRecord;
}

type StoredWebhook = Omit<WebhookRecord, "id" | "health">;

function webhookOf(record: unknown): StoredWebhook {
  return JSON.parse(String(record)) as StoredWebhook;
}

/** Those noted by an older version lack what was added since. */
function healthOf(health: unknown): WebhookHealth {
  if (typeof health !== "string") return goodHealth;
  return { ...goodHealth, ...(JSON.parse(health) as Partial<WebhookHealth>) };
}
