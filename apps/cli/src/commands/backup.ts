import { open, rename, rm, stat } from "node:fs/promises";
import type { Command } from "commander";
import { type Cli, Interruption } from "../cli.ts";
import { CliError } from "../errors.ts";
import { bytes } from "../output.ts";
import { Progress } from "../progress.ts";

const HEADER = "SQLite format 3\u0000";

export function define(command: Command, cli: Cli): void {
  command
    .description(
      "Copy the embedded engine's database into a file while it serves; files in FILES_DIR are copied by your own means",
    )
    .argument("<file>")
    .option("--force", "Replace the file")
    .action(async (file: string, { force }: { force?: boolean }) => {
      const { out } = cli;
      const there = await stat(file).catch(() => null);
      if (there !== null && (force !== true || !there.isFile())) {
        throw new CliError("usage", `${file} exists already; name another file, or say --force`);
      }
      const signal = cli.interruptible();
      const progress = new Progress("Copying", out.json);
      const fresh = `${file}.${process.pid}.part`;
      // Opened first: where nothing can be written, nothing is asked.
      const handle = await open(fresh, "wx", 0o600);
      try {
        const response = await (await cli.client()).backup({ signal });
        const announced = response.headers.get("content-length");
        const total = announced === null ? undefined : Number(announced);
        let size = 0;
        let begin = "";
        for await (const piece of response.body ?? []) {
          if (size === 0) begin = Buffer.from(piece).toString("latin1", 0, HEADER.length);
          await handle.writeFile(piece);
          size += piece.length;
          progress.at(size, total);
        }
        if (begin !== HEADER || (total !== undefined && size !== total)) {
          throw new CliError("unreachable", "The copy did not come as a whole; try again");
        }
        await handle.sync();
        await handle.close();
        await rename(fresh, file);
        progress.end();
        out.result({ file, bytes: size }, () => out.line(`${file}, ${bytes(size)}`));
      } catch (error) {
        progress.end();
        await handle.close().catch(() => undefined);
        await rm(fresh, { force: true });
        if (signal.aborted) throw new Interruption("Interrupted; nothing was kept");
        throw error;
      }
    });
}
