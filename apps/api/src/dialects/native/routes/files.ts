import { HandlerError, QueueError } from "@jobyard/core";
import type { TenantFiles } from "@jobyard/handlers";
import type { ApiContext, DialectDeps } from "../../../dialect.ts";
import { answerWithFile } from "../../../file-answer.ts";
import type { Handle } from "../../../operations.ts";
import { RequestError } from "../../../request-error.ts";
import { fileView, iso } from "../mapping.ts";
import type { fileOperations } from "../operations/files.ts";
import { answer, queryOf, scopeOf } from "../requests.ts";
import { filesQuery } from "../schemas/files.ts";

export function fileRoutes(deps: DialectDeps): Record<keyof typeof fileOperations, Handle> {
  const { queue, storage, config, ending } = deps;
  const filesOf = (c: ApiContext): TenantFiles => storage.of(scopeOf(c, queue).home);

  return {
    listFiles: (c) =>
      told(async () => {
        const { folder } = queryOf(c, filesQuery);
        const files = filesOf(c);
        const base = (folder ?? "").split("/").filter((part) => part !== "" && part !== ".");
        const entries = await files.list(base.length === 0 ? undefined : base.join("/"));
        entries.sort((a, b) => (a.name < b.name ? -1 : 1));
        const items = entries.map(async ({ name, kind }) => {
          const path = [...base, name].join("/");
          // One that is gone meanwhile, or no regular file, has no size.
          const info = kind === "file" ? await files.stat(path).catch(() => null) : null;
          const modifiedAt = info === null ? null : iso(info.modifiedAt);
          return { name, path, kind, bytes: info?.size ?? null, modifiedAt };
        });
        return answer(c, { items: await Promise.all(items) });
      }),

    getFile: (c) => told(async () => answerWithFile(c, await filesOf(c).open(pathIn(c)))),

    putFile: (c) =>
      told(async () => {
        const path = pathIn(c);
        const files = filesOf(c);
        const { incoming } = c.env;
        const signal = AbortSignal.any([c.req.raw.signal, ending]);
        await files
          .put(path, incoming, { maxBytes: config.files.maxBytes, signal })
          .catch((error: unknown) => {
            if (!signal.aborted) throw error;
            throw new QueueError(
              "UNAVAILABLE",
              "The upload was cut off; nothing was kept",
              {},
              error,
            );
          });
        return answer(c, { path, ...fileView(await files.stat(path)) });
      }),

    removeFile: (c) =>
      told(async () => {
        const path = pathIn(c);
        if (!(await filesOf(c).remove(path))) throw missing(path);
        return answer(c, { path });
      }),
  };
}

function pathIn(c: ApiContext): string {
  return c.req.param("path") ?? "";
}

function missing(path: string): RequestError {
  return new RequestError("FILE_NOT_FOUND", `${path.slice(0, 100)}: no such file`);
}

/** What the storage refuses, in the API's terms. */
async function told(act: () => Promise<Response>): Promise<Response> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof HandlerError)) throw error;
    const { code, message, dataFault } = error;
    if (code === "FILE_NOT_FOUND") throw new RequestError("FILE_NOT_FOUND", message);
    if (code === "FILE_TOO_LARGE") throw new QueueError("PAYLOAD_TOO_LARGE", message);
    if (dataFault) {
      throw new QueueError("VALIDATION", message, { errors: [{ field: "path", message }] });
    }
    throw new QueueError("UNAVAILABLE", message, { retryAfterMs: 1000 }, error);
  }
}
