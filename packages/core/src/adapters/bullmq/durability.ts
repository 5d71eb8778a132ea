import type { StoreWarning } from "../../queue-adapter.ts";

/** What Redis' INFO says of how it keeps its data. */
export function keepsAof(info: string): boolean {
  return info.includes("aof_enabled:1");
}

/** @param infos one for each server, which say the same where they are set up alike */
export function warningsOf(infos: readonly string[]): StoreWarning[] {
  const warnings = infos.flatMap(warningsOfOne);
  return [...new Map(warnings.map((warning) => [warning.message, warning])).values()];
}

function warningsOfOne(info: string): StoreWarning[] {
  const warnings: StoreWarning[] = [];
  if (!keepsAof(info)) {
    warnings.push({
      code: "NO_APPEND_ONLY_FILE",
      message:
        "Redis keeps no append-only file: jobs it accepted are lost when it is killed (set appendonly yes)",
      parameters: {},
    });
  }
  const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1];
  if (policy !== undefined && policy !== "noeviction") {
    warnings.push({
      code: "MAY_EVICT",
      message: `Redis may drop jobs when memory is short: maxmemory-policy is ${policy} (set noeviction)`,
      parameters: { policy },
    });
  }
  return warnings;
}
