import * as system from "../schemas/system.ts";
import { bytes, define } from "./define.ts";

export const systemOperations = {
  whoami: define("read", "get /whoami", {
    id: "whoami",
    summary: "Who calls, what the caller may do, and what it talks to",
    data: system.whoami,
  }),
  getHealth: define("read", "get /health", {
    id: "getHealth",
    summary: "How the server and its store are",
    data: system.health,
  }),
  listJobTypes: define("read", "get /job-types", {
    id: "listJobTypes",
    summary: "The job types, with what their data has to look like",
    data: system.jobTypes,
  }),
  streamEvents: define("read", "get /events", {
    id: "streamEvents",
    summary: "What happens, as it happens",
    description:
      "Server-sent events: `id` is the event's place, `event` its type, `data` an Event. With `after` or `Last-Event-ID` it goes on where a reader left off; `event: gap` says that some in between are lost. A reader that is too slow, or whose token expires, gets `event: dropped` with the reason in `error`, and is closed. A comment comes every 15 s.",
    query: system.eventsQuery,
    responses: {
      200: { description: "Events", content: { "text/event-stream": { schema: system.event } } },
    },
  }),
  streamActivity: define("read", "get /activity", {
    id: "streamActivity",
    summary: "How much happens where, as it happens",
    description:
      "Server-sent events, as of `streamEvents`, at most one every `everyMs`, and none while nothing happens: `event: activity` counts events by queue and type. For views that read again what has changed; it costs the same however many events there are.",
    query: system.activityQuery,
    responses: {
      200: {
        description: "Activity",
        content: { "text/event-stream": { schema: system.activity } },
      },
    },
  }),
  listNodes: define("system", "get /nodes", {
    id: "listNodes",
    summary: "The processes that share the store",
    data: system.nodes,
  }),
  getSettings: define("system", "get /settings", {
    id: "getSettings",
    summary: "The server's settings, secrets masked",
    data: system.settings,
  }),
  getBackup: define("system", "get /backup", {
    id: "getBackup",
    summary: "A consistent copy of the embedded engine's file, made while it serves",
    responses: { 200: bytes("An SQLite database", "application/vnd.sqlite3") },
    refused: ["INVALID_STATE"],
  }),
};
