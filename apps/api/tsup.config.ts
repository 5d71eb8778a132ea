import { programConfig } from "../../tsup.base.ts";

export default programConfig("demo.ts", "dev-token.ts", "openapi/generate.ts");
