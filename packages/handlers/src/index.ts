export type { FollowUp, HandlerDeps } from "./handler-deps.ts";
export { createHandlers } from "./registry.ts";
export { closeSharedThreads as closeThreads } from "./sentiment-analysis-batch/batch.ts";
export {
  type FileInfo,
  type FolderEntry,
  type OpenFile,
  Storage,
  type StorageOptions,
  type TenantFiles,
} from "./storage.ts";
