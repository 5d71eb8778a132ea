import { copyFile, mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build as tsup } from "tsup";
import { onTestFinished } from "vitest";
import config from "../tsup.config.ts";

const folder = join(import.meta.dirname, "..");

/** A folder where what is published has been installed, without a registry. */
export async function projectWithSdk(): Promise<string> {
  const project = await mkdtemp(join(tmpdir(), "jobyard-sdk-test-"));
  onTestFinished(() => rm(project, { recursive: true, force: true }));
  const installed = join(project, "node_modules/@jobyard/sdk");
  await mkdir(installed, { recursive: true });
  await copyFile(join(folder, "package.json"), join(installed, "package.json"));
  await tsup({
    ...config,
    entry: [`${folder}/src/**/*.ts`],
    outDir: join(installed, "dist"),
    dts: false,
    config: false,
  });
  await symlink(join(folder, "node_modules"), join(installed, "node_modules"));
  return project;
}
