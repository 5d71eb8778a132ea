import { runApi } from "./run.ts";

await runApi(process.env);
