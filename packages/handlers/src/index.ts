export { handlers } from "./registry.ts";
export { closeSharedThreads as closeThreads } from "./sentiment-analysis-batch/batch.ts";
