import type { ComponentType } from "preact";
import type { Access } from "../session.tsx";
import type { Label } from "../words.ts";
import { Deliveries } from "./deliveries.tsx";
import { Failures } from "./failures.tsx";
import { Job } from "./job.tsx";
import { Jobs } from "./jobs.tsx";
import { Overview } from "./overview.tsx";
import { Queues } from "./queues.tsx";
import { Schedules } from "./schedules.tsx";
import { Settings } from "./settings.tsx";
import { Webhooks } from "./webhooks.tsx";
import { Workers } from "./workers.tsx";

export interface Screen {
  readonly path: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- of each path its own parameters
  readonly component: ComponentType<any>;
  /** In the navigation; absent: it is reached from another screen. */
  readonly title?: Label;
  /** After `g`. */
  readonly key?: string;
  readonly access: Access;
}

export const screens: readonly Screen[] = [
  { path: "/", component: Overview, title: "overview", key: "o", access: "read" },
  { path: "/queues", component: Queues, title: "queues", key: "q", access: "read" },
  { path: "/jobs", component: Jobs, title: "jobs", key: "j", access: "read" },
  { path: "/jobs/:id", component: Job, access: "read" },
  { path: "/failures", component: Failures, title: "failures", key: "f", access: "read" },
  { path: "/schedules", component: Schedules, title: "schedules", key: "s", access: "read" },
  { path: "/workers", component: Workers, title: "workersAndNodes", key: "w", access: "read" },
  { path: "/webhooks", component: Webhooks, title: "webhooks", key: "h", access: "administer" },
  { path: "/webhooks/:id", component: Deliveries, access: "administer" },
  { path: "/settings", component: Settings, title: "settings", key: ",", access: "read" },
];
