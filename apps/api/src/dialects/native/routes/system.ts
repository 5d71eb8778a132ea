import { randomUUID } from "node:crypto";
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { type JobEvent, jobTypes, parseJobId } from "@jobyard/core";
import { z } from "zod";
import about from "../../../../package.json" with { type: "json" };
import { accessRoles, mayAccess } from "../../../auth/caller.ts";
import type { DialectDeps } from "../../../dialect.ts";
import { masked } from "../../../masked-config.ts";
import type { Handle } from "../../../operations.ts";
import { ActivityReading, type QueueActivity } from "../../../transports/activity.ts";
import { eventStream, textOf } from "../../../transports/sse.ts";
import { eventView, iso } from "../mapping.ts";
import type { systemOperations } from "../operations/system.ts";
import { answer, queryOf, scopeOf } from "../requests.ts";
import { activityQuery, eventsQuery } from "../schemas/system.ts";

type Access = keyof typeof accessRoles;

const accesses = Object.keys(accessRoles) as Access[];

export function systemRoutes(deps: DialectDeps): Record<keyof typeof systemOperations, Handle> {
  const { config, queue, events, nodeId, ending } = deps;
  const { engine } = queue.adapter.capabilities;
  const startedAt = iso(Date.now());
  const types = jobTypesView();

  return {
    whoami(c) {
      const caller = c.get("caller");
      const { subject, tenant, roles, expiresAt } = caller;
      return answer(c, {
        subject,
        tenant,
        roles,
        may: accesses.filter((access) => mayAccess(caller, access)),
        open: config.auth.open,
        expiresAt: expiresAt === Infinity ? null : iso(expiresAt),
        server: { version: about.version, engine, node: nodeId },
      });
    },

    async getHealth(c) {
      const { reachable, latencyMs, warnings } = await queue.health();
      const status = reachable ? "healthy" : "unhealthy";
      return answer(c, { status, engine, reachable, latencyMs, warnings, node: nodeId, startedAt });
    },

    listJobTypes: (c) => answer(c, types),

    async streamEvents(c) {
      const query = queryOf(c, eventsQuery);
      const { queue: only, type, job } = query;
      const jobs = scopeOf(c, queue, query);
      const after = c.req.header("last-event-id") ?? query.after;
      const wanted = job && new Set(job.map((id) => parseJobId(id)));
      if (c.req.method === "HEAD") return c.body(null, 200, streamHeaders);
      const stream = eventStream({
        reading: await events.read({
          tenant: jobs.tenant,
          ...(only !== undefined && { queue: only }),
          ...(after !== undefined && { after }),
        }),
        encode: (batch) =>
          type === undefined && wanted === undefined
            ? batch.bytes(streamBytes)
            : streamBytes(
                batch.events.filter(
                  (event) =>
                    type?.includes(event.type) !== false && wanted?.has(event.jobId) !== false,
                ),
              ),
        expiresAt: c.get("caller").expiresAt,
        signal: AbortSignal.any([c.req.raw.signal, ending]),
        cut: () => c.env.outgoing.destroy(),
      });
      return c.body(stream, 200, streamHeaders);
    },

    async streamActivity(c) {
      const query = queryOf(c, activityQuery);
      const { tenant } = scopeOf(c, queue, query);
      if (c.req.method === "HEAD") return c.body(null, 200, streamHeaders);
      const scope = { tenant, ...(query.queue !== undefined && { queue: query.queue }) };
      const stream = eventStream({
        reading: new ActivityReading(await events.read(scope), query.everyMs),
        encode: activityBytes,
        expiresAt: c.get("caller").expiresAt,
        signal: AbortSignal.any([c.req.raw.signal, ending]),
        cut: () => c.env.outgoing.destroy(),
      });
      return c.body(stream, 200, streamHeaders);
    },

    async listNodes(c) {
      const nodes = await queue.of(c.get("caller").tenant).nodes();
      return answer(c, {
        items: nodes.map(({ id, host, port, isLeader, startedAt, lastHeartbeat }) => ({
          id,
          host,
          port,
          isLeader,
          startedAt: iso(startedAt),
          lastHeartbeatAt: iso(lastHeartbeat),
        })),
      });
    },

    getSettings: (c) => answer(c, masked(config)),

    async getBackup(c) {
      const headers = {
        "Content-Type": "application/vnd.sqlite3",
        "Content-Disposition": 'attachment; filename="jobyard.db"',
      };
      // Nobody would read it; what cannot be made says so below.
      const { capabilities } = queue.adapter;
      if (c.req.method === "HEAD" && capabilities.backup) return c.body(null, 200, headers);
      const path = join(config.engine.dataDir, `backup-${randomUUID()}.tmp`);
      try {
        await queue.adapter.backup({ file: path });
        const file = await open(path);
        const { size } = await file.stat();
        const stream = Readable.toWeb(file.createReadStream()) as ReadableStream;
        return c.body(stream, 200, { ...headers, "Content-Length": String(size) });
      } finally {
        // Whoever has it open goes on reading.
        await rm(path, { force: true });
      }
    },
  };
}

const streamHeaders = { "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" };

function activityBytes(queues: readonly QueueActivity[]): Buffer {
  const data = JSON.stringify({ at: iso(Date.now()), queues });
  return Buffer.from(textOf({ event: "activity", data }));
}

function streamBytes(events: readonly JobEvent[]): Buffer {
  const messages = events.map((event) =>
    textOf({ id: event.cursor, event: event.type, data: JSON.stringify(eventView(event)) }),
  );
  return Buffer.from(messages.join(""));
}

function jobTypesView() {
  return {
    items: Object.values(jobTypes).map(({ name, title, data, defaults }) => {
      const { attempts, backoffMs, timeoutMs } = defaults;
      const priority = "priority" in defaults ? defaults.priority : 0;
      return {
        queue: name,
        title,
        defaults: { attempts, backoffMs, timeoutMs, priority },
        data: z.toJSONSchema(data, { io: "input", unrepresentable: "any" }),
      };
    }),
  };
}
