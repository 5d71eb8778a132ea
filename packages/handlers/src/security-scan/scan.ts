import type { Tell } from "../tabular/engine.process.ts";

export interface ScanTask {
  readonly kind: "scan";
}

export async function scanFile(task: ScanTask, tell: Tell): Promise<unknown> {
  tell(0, task.kind);
  return null;
}
