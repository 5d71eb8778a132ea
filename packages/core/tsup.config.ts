import { cp } from "node:fs/promises";
import { packageConfig } from "../../tsup.base.ts";

/** Read at run time, from beside the code. */
const folders = ["adapters/sqlite/migrations", "adapters/bullmq/scripts"];

export default packageConfig(
  [
    "src/index.ts",
    "src/adapters/bullmq/index.ts",
    "src/adapters/sqlite/index.ts",
    "src/process/index.ts",
    "src/testing/index.ts",
  ],
  async () => {
    for (const folder of folders) await cp(`src/${folder}`, `dist/${folder}`, { recursive: true });
  },
);
