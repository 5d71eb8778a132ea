import { writeFileSync } from "node:fs";
import { v1Document } from "../dialects/v1/operations.ts";

const file = new URL("../../openapi/v1.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(v1Document(), null, 2)}\n`);
