import type { ExportTask } from "../data-export/export.ts";
import type { ParseTask } from "../file-processing/parse.ts";
import { EngineFailure } from "./failure.ts";
import type { ScanTask } from "../security-scan/scan.ts";

export type EngineTask = ParseTask | ExportTask | ScanTask;

export type EngineAnswer =
  | { readonly kind: "progress"; readonly progress: number; readonly message: string }
  | { readonly kind: "done"; readonly answer: unknown }
  | {
      readonly kind: "failed";
      readonly error: {
        readonly code: string;
        readonly message: string;
        readonly dataFault: boolean;
        readonly stage?: string | undefined;
      };
    };

/** Percent, and in what. */
export type Tell = (progress: number, message: string) => void;

const TELL_MS = 200;

async function perform(task: EngineTask, tell: Tell): Promise<unknown> {
  // Only what the task needs: loading it all takes longer than a small file does.
  switch (task.kind) {
    case "parse": {
      const { parseFile } = await import("../file-processing/parse.ts");
      return parseFile(task, tell);
    }
    case "export": {
      const { exportDataset } = await import("../data-export/export.ts");
      return exportDataset(task, tell);
    }
    case "scan": {
      const { scanFile } = await import("../security-scan/scan.ts");
      return scanFile(task, tell);
    }
    default:
      throw new TypeError(`No such task: ${JSON.stringify(task satisfies never)}`);
  }
}

function answer(message: EngineAnswer): void {
  process.send?.(message);
}

let told = 0;
const tell: Tell = (progress, message) => {
  const now = Date.now();
  if (now - told < TELL_MS) return;
  told = now;
  answer({ kind: "progress", progress, message });
};

/** Codes of failures that another try may not meet. */
const passing: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "EIO"]);

function failureOf(error: unknown): EngineAnswer {
  if (error instanceof EngineFailure) {
    const { code, message, dataFault, stage } = error;
    return { kind: "failed", error: { code, message, dataFault, stage } };
  }
  const known = error instanceof Error ? error : new Error(String(error));
  const code = (known as NodeJS.ErrnoException).code ?? "INTERNAL";
  const message = passing.has(code) ? `The disk refused: ${code}` : known.message;
  const told = passing.has(code) ? "TEMPORARY_FAILURE" : code;
  return { kind: "failed", error: { code: told, message, dataFault: false } };
}

process.once("message", (task: EngineTask) => {
  perform(task, tell).then(
    (result) => answer({ kind: "done", answer: result }),
    (error: unknown) => answer(failureOf(error)),
  );
});

// The worker is gone: nobody wants the answer.
process.once("disconnect", () => process.exit());
