import { programConfig } from "../../tsup.base.ts";

export default programConfig("openapi/generate.ts");
