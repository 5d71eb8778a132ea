import type { Operation } from "../../../operations.ts";
import { tenantQuery } from "../schemas/basics.ts";
import * as files from "../schemas/files.ts";
import { BASE, bytes, define } from "./define.ts";

const one = { params: files.fileParams, query: tenantQuery };

/** The path of a file has slashes of its own. */
function withSlashes(operation: Operation): Operation {
  return { ...operation, getRoutingPath: () => `${BASE}/files/:path{.+}` };
}

export const fileOperations = {
  listFiles: define("read", "get /files", {
    id: "listFiles",
    summary: "What is in a folder of the tenant, by name",
    query: files.filesQuery,
    data: files.folder,
  }),
  getFile: withSlashes(
    define("read", "get /files/{path}", {
      id: "getFile",
      summary: "A file of the tenant",
      ...one,
      responses: { 200: bytes("The file"), 206: bytes("The range asked for") },
      refused: ["INVALID_JOB_DATA", "FILE_NOT_FOUND"],
    }),
  ),
  putFile: withSlashes(
    define("operate", "put /files/{path}", {
      id: "putFile",
      summary: "Keep a file, in place of one that was there",
      description:
        "Readers see the old one or the new one, never a part. 404: another call removed it before it could be told of.",
      ...one,
      content: { type: "application/octet-stream", description: "The file's bytes" },
      data: files.file,
      refused: ["INVALID_JOB_DATA", "FILE_NOT_FOUND"],
    }),
  ),
  removeFile: withSlashes(
    define("operate", "delete /files/{path}", {
      id: "removeFile",
      summary: "Remove a file",
      ...one,
      data: files.fileParams,
      refused: ["INVALID_JOB_DATA", "FILE_NOT_FOUND"],
    }),
  ),
};
