import type { Filter } from "@jobyard/sdk";
import { type JobState, jobStates } from "./parts/state-badge.tsx";

/** What is looked for stands in the page's address, so that it can be kept and sent. */

export const conditions = [
  "id",
  "name",
  "tag",
  "error",
  "payload",
  "batch",
  "project",
  "schedule",
  "errorGroup",
] as const;

export type Condition = (typeof conditions)[number];

export interface Search {
  readonly queues: readonly string[];
  readonly states: readonly JobState[];
  readonly conditions: Readonly<Partial<Record<Condition, string>>>;
}

export function searchOf(address: string): Search {
  const params = new URLSearchParams(address);
  const states = params.getAll("state");
  const found: Partial<Record<Condition, string>> = {};
  for (const name of conditions) {
    const value = params.get(name);
    if (value !== null && value !== "") found[name] = value;
  }
  return {
    queues: params.getAll("queue"),
    states: jobStates.filter((state) => states.includes(state)),
    conditions: found,
  };
}

export function addressOf({ queues, states, conditions: found }: Search): string {
  const params = new URLSearchParams();
  for (const queue of queues) params.append("queue", queue);
  for (const state of states) params.append("state", state);
  for (const [name, value] of Object.entries(found)) params.append(name, value);
  return params.size === 0 ? "/jobs" : `/jobs?${params.toString()}`;
}

export function filterOf({ queues, states, conditions: found }: Search): Filter {
  const { id, ...rest } = found;
  return {
    ...rest,
    ...(queues.length > 0 && { queue: [...queues] }),
    ...(states.length > 0 && { state: [...states] }),
    ...(id !== undefined && { id: id.split(/[\s,]+/).filter((one) => one !== "") }),
  };
}

export const bulkActions = {
  retry: { states: ["failed", "cancelled"], danger: false },
  cancel: { states: ["waiting", "delayed", "blocked", "active"], danger: true },
  remove: {
    states: ["waiting", "delayed", "blocked", "completed", "failed", "cancelled"],
    danger: true,
  },
} as const satisfies Readonly<
  Record<string, { readonly states: readonly JobState[]; readonly danger: boolean }>
>;

export type BulkAction = keyof typeof bulkActions;

/** Of what is found, the jobs that an action can be done to; null: none can be among them. */
export function filterFor(action: BulkAction, search: Search): Filter | null {
  const possible: readonly JobState[] = bulkActions[action].states;
  const states =
    search.states.length === 0 ? possible : search.states.filter((one) => possible.includes(one));
  return states.length === 0 ? null : filterOf({ ...search, states });
}
