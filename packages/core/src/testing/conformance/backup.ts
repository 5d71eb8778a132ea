import { randomUUID } from "node:crypto";
import { rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

import { expectRejected, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeBackup(factory: EngineFactory): void {
  describe("backup", () => {
    const d = useDriver(factory);

    it("is made by engines that say so; others say what to do instead", async () => {
      await d.add();
      const file = join(tmpdir(), `jobyard-backup-${randomUUID()}`);
      try {
        const backup = d.adapter.backup({ file });
        if (d.adapter.capabilities.backup) {
          await backup;
          expect((await stat(file)).size).toBeGreaterThan(0);
        } else {
          await expectRejected(backup, "INVALID_STATE");
          await expect(stat(file)).rejects.toThrow("ENOENT");
        }
      } finally {
        await rm(file, { force: true });
      }
    });
  });
}
