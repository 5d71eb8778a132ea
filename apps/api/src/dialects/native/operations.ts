import { fileOperations } from "./operations/files.ts";
import { jobOperations } from "./operations/jobs.ts";
import { queueOperations } from "./operations/queues.ts";
import { scheduleOperations } from "./operations/schedules.ts";
import { systemOperations } from "./operations/system.ts";
import { webhookOperations } from "./operations/webhooks.ts";
import { workOperations } from "./operations/work.ts";

/** Every operation of the dialect, by its `operationId`. */
export const operations = {
  ...jobOperations,
  ...workOperations,
  ...queueOperations,
  ...scheduleOperations,
  ...webhookOperations,
  ...fileOperations,
  ...systemOperations,
};
