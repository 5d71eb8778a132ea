export type { FollowUp, HandlerDeps } from "./handler-deps.ts";
export { hasBatchRows } from "./process-batch/handler.ts";
export { AddressRefused, isPublicAddress, PublicHttp } from "./public-http.ts";
export { createHandlers } from "./registry.ts";
export {
  type FileInfo,
  type FolderEntry,
  type OpenFile,
  Storage,
  type StorageOptions,
  type TenantFiles,
} from "./storage.ts";
export { openWork, type Work } from "./work.ts";
