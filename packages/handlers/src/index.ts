export { createHandlers } from "./registry.ts";
export { closeSharedThreads as closeThreads } from "./sentiment-analysis-batch/batch.ts";
export { type FollowUp, type HandlerDeps, Storage, type StorageOptions } from "./storage.ts";
