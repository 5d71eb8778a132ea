import { cp } from "node:fs/promises";
import { packageConfig } from "../../tsup.base.ts";

const migrations = "adapters/sqlite/migrations";

export default packageConfig(
  ["src/index.ts", "src/adapters/sqlite/index.ts", "src/testing/index.ts"],
  () => cp(`src/${migrations}`, `dist/${migrations}`, { recursive: true }),
);
