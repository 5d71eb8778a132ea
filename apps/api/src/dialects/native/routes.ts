import type { Dialect, DialectDeps } from "../../dialect.ts";
import { type Handle, mount } from "../../operations.ts";
import { refuse } from "./errors.ts";
import { operations } from "./operations.ts";
import { BASE } from "./operations/define.ts";
import { fileRoutes } from "./routes/files.ts";
import { jobRoutes } from "./routes/jobs.ts";
import { queueRoutes } from "./routes/queues.ts";
import { scheduleRoutes } from "./routes/schedules.ts";
import { systemRoutes } from "./routes/system.ts";
import { webhookRoutes } from "./routes/webhooks.ts";
import { workRoutes } from "./routes/work.ts";

export const native: Dialect = {
  name: "native",
  title: "Native",
  summary:
    "Everything that Jobyard does; the SDK, the command line and the console are built on it",
  prefix: BASE,
  operations,
  asksForToken: "unless open",
  streams: new RegExp(`^${BASE}/(?:events|activity)$`),
  routes: (deps) => mount(operations, handlersOf(deps), deps.log),
  refuse,
};

function handlersOf(deps: DialectDeps): Record<keyof typeof operations, Handle> {
  return {
    ...jobRoutes(deps),
    ...workRoutes(deps),
    ...queueRoutes(deps),
    ...scheduleRoutes(deps),
    ...webhookRoutes(deps),
    ...fileRoutes(deps),
    ...systemRoutes(deps),
  };
}
