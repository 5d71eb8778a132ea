/** What Redis' INFO says of how it keeps its data. */
export function keepsAof(info: string): boolean {
  return info.includes("aof_enabled:1");
}

export function warningsOf(info: string): string[] {
  const warnings: string[] = [];
  if (!keepsAof(info)) {
    warnings.push(
      "Redis keeps no append-only file: jobs it accepted are lost when it is killed (set appendonly yes)",
    );
  }
  const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1];
  if (policy !== undefined && policy !== "noeviction") {
    warnings.push(
      `Redis may drop jobs when memory is short: maxmemory-policy is ${policy} (set noeviction)`,
    );
  }
  return warnings;
}
