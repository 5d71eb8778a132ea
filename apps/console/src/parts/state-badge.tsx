import type { Schemas } from "@jobyard/sdk";
import { usePreferences } from "../preferences.tsx";

export type JobState = Schemas["Job"]["state"];

export const jobStates = [
  "waiting",
  "delayed",
  "blocked",
  "active",
  "completed",
  "failed",
  "cancelled",
] as const satisfies readonly JobState[];

export function StateBadge({ state }: { readonly state: JobState }) {
  const { t } = usePreferences();
  return <span class={`badge ${state}`}>{t(state)}</span>;
}
