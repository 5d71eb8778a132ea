import { QueueError } from "../../errors.ts";
import {
  ALL_TENANTS,
  goodHealth,
  goodVerdict,
  type NodeRecord,
  type Schedule,
  type ScheduleRecord,
  type TenantScope,
  type WebhookHealth,
  type WebhookInput,
  type WebhookNote,
  type WebhookRecord,
  type WorkerRecord,
} from "../../queue-adapter.ts";
import type { Connection, Reply } from "./connection.ts";

/** A schedule's times of firing lie beside its record, where the script that fires it moves them on. */
type StoredSchedule = Omit<Schedule, "lastRun">;
type StoredWebhook = Omit<WebhookInput, "id">;

/** Small things stored whole: schedules, webhooks, workers and nodes. */
export class Records {
  readonly #connection: Connection;
  readonly #now: () => number;

  constructor(connection: Connection, now: () => number) {
    this.#connection = connection;
    this.#now = now;
  }

  async schedules(tenant: TenantScope): Promise<ScheduleRecord[]> {
    const answer = (await this.#connection.script("list-schedules")) as string[][];
    return answer
      .map(([text = "", due = "", last = "", version]) => {
        const stored = JSON.parse(text) as StoredSchedule;
        // What must not fire keeps the time it was put with.
        const nextRun = stored.enabled ? (due === "" ? null : Number(due)) : stored.nextRun;
        const lastRun = last === "" ? null : Number(last);
        return { ...stored, nextRun, lastRun, version: Number(version) };
      })
      .filter((schedule) => tenant === ALL_TENANTS || schedule.tenant === tenant)
      .sort((a, b) => compare(a.tenant, b.tenant) || compare(a.name, b.name));
  }

  async putSchedule(schedule: Schedule, replaces: number | null): Promise<number | null> {
    const { tenant, name, enabled } = schedule;
    const { lastRun, ...stored } = schedule;
    const due = enabled ? schedule.nextRun : null;
    const answer = await this.#connection.script(
      "put-schedule",
      scheduleKey(tenant, name),
      replaces ?? "",
      JSON.stringify(stored satisfies StoredSchedule),
      due ?? "",
      lastRun ?? "",
    );
    return answer === "changed" ? null : Number(answer);
  }

  async deleteSchedule(tenant: TenantScope, name: string): Promise<boolean> {
    return Number(await this.#connection.script("delete-schedule", tenant, name)) > 0;
  }

  async webhooks(tenant: TenantScope): Promise<WebhookRecord[]> {
    const [records, health] = await Promise.all([
      this.#connection.command("HGETALL", "webhooks"),
      this.#connection.command("HGETALL", "webhookHealth"),
    ]);
    const noted = new Map(pairs(health));
    return pairs(records)
      .map(([id, text]) => {
        const [made, , json] = split(text);
        const note = noted.get(id);
        return {
          ...(JSON.parse(json) as StoredWebhook),
          id: Number(id),
          createdAt: Number(made),
          // Those noted by an older version lack what was added since.
          health: {
            ...goodHealth,
            ...(note === undefined ? {} : (JSON.parse(note) as Partial<WebhookHealth>)),
          },
        };
      })
      .filter((webhook) => tenant === ALL_TENANTS || webhook.tenant === tenant)
      .sort((a, b) => a.id - b.id);
  }

  async putWebhook(webhook: WebhookInput): Promise<WebhookRecord> {
    const { id, ...fields } = webhook;
    const answer = await this.#connection.script(
      "put-webhook",
      id ?? "",
      fields.tenant,
      JSON.stringify(fields satisfies StoredWebhook),
    );
    if (answer === "unknown") {
      throw new QueueError("WEBHOOK_NOT_FOUND", `Webhook ${id} not found`);
    }
    const [kept, made] = answer as readonly string[];
    return { ...fields, id: Number(kept), createdAt: Number(made), health: goodHealth };
  }

  async deleteWebhook(tenant: TenantScope, id: number): Promise<boolean> {
    return Number(await this.#connection.script("delete-webhook", tenant, id)) > 0;
  }

  async noteWebhook({ id, verdict, dropped = 0 }: WebhookNote): Promise<void> {
    const judged = verdict === undefined ? "" : JSON.stringify(verdict);
    await this.#connection.script("note-webhook", id, judged, dropped, JSON.stringify(goodVerdict));
  }

  async incomingSecret(tenant: string, queue: string): Promise<string | null> {
    const secret = await this.#connection.command("HGET", "incomingSecrets", `${tenant} ${queue}`);
    return secret === null ? null : String(secret);
  }

  async putIncomingSecret(tenant: string, queue: string, secret: string | null): Promise<void> {
    const field = `${tenant} ${queue}`;
    if (secret === null) await this.#connection.command("HDEL", "incomingSecrets", field);
    else await this.#connection.command("HSET", "incomingSecrets", field, secret);
  }

  async heartbeatWorker(worker: Omit<WorkerRecord, "startedAt" | "lastHeartbeat">): Promise<void> {
    const key = `${worker.tenant} ${worker.id}`;
    await this.#connection.script("heartbeat", "workers", key, JSON.stringify(worker));
  }

  /** Shared workers serve every tenant. */
  async workers(tenant: TenantScope, withinMs: number): Promise<WorkerRecord[]> {
    const all = await this.#heard<Omit<WorkerRecord, "startedAt" | "lastHeartbeat">>(
      "workers",
      withinMs,
    );
    return all.filter(
      (worker) =>
        tenant === ALL_TENANTS || worker.tenant === tenant || worker.tenant === ALL_TENANTS,
    );
  }

  async forgetWorker(tenant: TenantScope, id: string): Promise<void> {
    await this.#connection.command("HDEL", "workers", `${tenant} ${id}`);
  }

  async heartbeatNode(node: Pick<NodeRecord, "id" | "host" | "port">): Promise<void> {
    await this.#connection.script("heartbeat", "nodes", node.id, JSON.stringify(node));
  }

  async nodes(withinMs: number): Promise<NodeRecord[]> {
    const leader = (await this.#connection.command(
      "HMGET",
      "leader",
      "node",
      "until",
      "nodeUntil",
    )) as (string | null)[];
    const [id, until, nodeUntil] = leader;
    const leads = Math.min(Number(until), Number(nodeUntil)) > this.#now();
    const all = await this.#heard<Pick<NodeRecord, "id" | "host" | "port">>("nodes", withinMs);
    return all.map((node) => ({ ...node, isLeader: leads && node.id === id }));
  }

  async #heard<T>(
    kind: string,
    withinMs: number,
  ): Promise<(T & { readonly startedAt: number; readonly lastHeartbeat: number })[]> {
    const since = this.#now() - withinMs;
    return pairs(await this.#connection.command("HGETALL", kind))
      .map(([, text]) => {
        const [started, heard, json] = split(text);
        return {
          ...(JSON.parse(json) as T),
          startedAt: Number(started),
          lastHeartbeat: Number(heard),
        };
      })
      .filter(({ lastHeartbeat }) => lastHeartbeat >= since);
  }
}

export function scheduleKey(tenant: string, name: string): string {
  return `${tenant} ${name}`;
}

/** The first two words and the rest. */
function split(text: string): [string, string, string] {
  const first = text.indexOf(" ");
  const second = text.indexOf(" ", first + 1);
  return [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)];
}

/** Of a hash, whichever version of the protocol it came by. */
export function pairs(reply: Reply): [string, string][] {
  const found: [string, string][] = [];
  if (Array.isArray(reply)) {
    for (let i = 0; i < reply.length; i += 2) found.push([String(reply[i]), String(reply[i + 1])]);
  } else if (typeof reply === "object" && reply !== null) {
    for (const [key, value] of Object.entries(reply)) found.push([key, String(value)]);
  }
  return found;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
