import type { Schemas } from "@jobyard/sdk";
import type { Formats } from "./formats.ts";
import type { Translate } from "./words.ts";

/** What an operator should look at, and where. */
export interface Attention {
  readonly key: string;
  readonly bad: boolean;
  /** What it is about. */
  readonly about: string;
  readonly text: string;
  readonly href: string;
}

import type { QueueFigures } from "./queue-figures.ts";

export interface Situation {
  readonly now: number;
  readonly figures: readonly QueueFigures[];
  readonly workers: readonly Schemas["Workers"]["items"][number][];
  readonly schedules: readonly Schemas["Schedule"][];
  readonly health: Schemas["Health"] | undefined;
}

const MANY_JOBS = 50;
const MANY_FAILURES = 5;
const LATE_MS = 60_000;
const GROWTH = 1.5;
const COMPARED_MINUTES = 10;

export function warningText(
  { code, parameters }: Schemas["Health"]["warnings"][number],
  t: Translate,
): string {
  switch (code) {
    case "NO_APPEND_ONLY_FILE":
      return t("noAppendOnlyFile");
    case "MAY_EVICT":
      return t("mayEvict", { policy: parameters["policy"] ?? "" });
  }
}

/** The worst first. */
export function needsAttention(
  { now, figures, workers, schedules, health }: Situation,
  t: Translate,
  formats: Formats,
): readonly Attention[] {
  const found: Attention[] = [];
  const add = (kind: string, bad: boolean, about: string, text: string, href: string): void => {
    found.push({ key: `${kind} ${about}`, bad, about, text, href });
  };
  if (health?.reachable === false) add("away", true, t("engine"), t("unreachable"), "/settings");
  for (const { queue, recent, history } of figures) {
    const { name, tenant, paused, counts } = queue;
    const jobs = `/jobs?queue=${name}`;
    const { completed, failed } = recent;
    const ended = completed + failed;
    if (failed >= MANY_FAILURES && failed / ended >= 0.2) {
      const text = t("failingQueue", {
        share: formats.percent(failed / ended),
        n: formats.number(failed),
      });
      add("failing", true, name, text, `/failures?queue=${name}`);
    }
    const waiting = formats.number(counts.waiting);
    if (paused) {
      if (counts.waiting > 0) add("paused", false, name, t("pausedWithJobs", { n: waiting }), jobs);
      continue;
    }
    const taken = workers.some(
      (worker) =>
        (worker.tenant === "*" || worker.tenant === tenant) &&
        (worker.queues.length === 0 || worker.queues.includes(name)),
    );
    if (counts.waiting > 0 && counts.active === 0 && ended === 0 && !taken) {
      add("idle", true, name, t("noWorker", { n: waiting }), `${jobs}&state=waiting`);
    }
    const before = history.at(-1 - COMPARED_MINUTES)?.backlog ?? 0;
    const backlog = history.at(-1)?.backlog ?? 0;
    if (counts.waiting >= MANY_JOBS && backlog >= MANY_JOBS && backlog >= before * GROWTH) {
      const text = t("growingBacklog", {
        n: formats.number(backlog),
        before: formats.number(before),
      });
      add("growing", true, name, text, jobs);
    }
  }
  for (const { name, tenant, enabled, nextRunAt } of schedules) {
    if (!enabled || nextRunAt === null || new Date(nextRunAt).getTime() > now - LATE_MS) continue;
    const text = t("lateSchedule", { when: formats.ago(nextRunAt, now) });
    add(`late ${tenant}`, true, name, text, "/schedules");
  }
  for (const warning of health?.warnings ?? []) {
    add(warning.code, false, t("engine"), warningText(warning, t), "/workers");
  }
  return found.toSorted((a, b) => Number(b.bad) - Number(a.bad));
}
