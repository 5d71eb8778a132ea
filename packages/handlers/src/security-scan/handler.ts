import { copyFile } from "node:fs/promises";
import { defineHandler, type Handler, jobTypes } from "@jobyard/core";
import type { HandlerDeps } from "../handler-deps.ts";
import { DEFAULT_MEMORY_MB, databaseMemoryMb, runInEngine } from "../tabular/engine.ts";
import { limits } from "../tabular/limits.ts";
import { frameworks } from "./frameworks.ts";
import type { ScannedFile } from "./scan.ts";

const FINDINGS_FILE = "findings.ndjson";

/** `security_scan`: personal data, secrets, formulas and signs of malware in a file of the tenant. */
export function securityScanHandler({ files, fileMemoryMb }: HandlerDeps): Handler {
  return defineHandler(
    jobTypes.security_scan,
    async (context) => {
      const { data, job, signal } = context;
      const tenant = files.of(job.tenant);
      const source = { filePath: data.filePath };
      const file = await tenant.local(source, { signal, maxBytes: limits.fileBytes });
      const memoryMb = fileMemoryMb ?? DEFAULT_MEMORY_MB;
      try {
        return await tenant.withScratch(async (scratch) => {
          const { findingsPath, findings, compliance, ...told } = await runInEngine<ScannedFile>(
            {
              kind: "scan",
              path: file.path,
              name: data.filePath,
              scratch,
              quick: data.scanType === "quick",
              frameworks: data.complianceFramework ?? frameworks,
              memoryMb: databaseMemoryMb(memoryMb),
            },
            {
              signal,
              memoryMb,
              onProgress: (percent, message) => context.progress({ progress: percent, message }),
            },
          );
          const findingsFile =
            told.findingCount <= findings.length
              ? undefined
              : await tenant.writeResult(job.id, FINDINGS_FILE, (path) =>
                  copyFile(findingsPath, path),
                );
          return {
            ...told,
            datasetId: data.datasetId,
            scanType: data.scanType,
            findings: [...findings],
            compliance: { ...compliance },
            ...(findingsFile && { findingsFile: { ...findingsFile } }),
          };
        });
      } finally {
        await file.release();
      }
    },
    { concurrency: 2 },
  );
}
