import { createRoute, type RouteConfig, z } from "@hono/zod-openapi";
import { parseJobId, QueueError, validationIssues } from "@jobyard/core";
import { audit } from "./audit.ts";
import { type Access, requireAccess } from "./auth/caller.ts";
import type { ApiContext } from "./dialect.ts";
import type { Logger } from "@jobyard/core/process";
import { RequestError } from "./request-error.ts";

/** One call of an HTTP dialect: its address, who may make it and, for the document, what goes in and out. */
export interface Operation extends RouteConfig {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  readonly operationId: string;
  readonly "x-access": Access;
  getRoutingPath(): string;
}

export type Handle = (c: ApiContext) => Response | Promise<Response>;

/** What answers a method at a path. */
export interface Route {
  readonly method: string;
  readonly path: string;
  readonly handle: Handle;
}

export function operation<const Route extends RouteConfig & { readonly operationId: string }>(
  access: Access,
  route: Route,
) {
  // Names that begin with x- are free in OpenAPI: readers of the document learn who may call, too.
  return createRoute({ ...route, "x-access": access });
}

/** As the document shows it; `idempotencyKey` reads it. */
export const idempotencyHeaders = z.object({
  "Idempotency-Key": z.string().optional().openapi({
    description:
      "1 to 255 visible ASCII characters. Within 24 h the call with the same key answers as the first one did, and adds nothing",
  }),
});

/** For `add` and `addMany`. */
export function idempotencyKey(c: ApiContext): { readonly idempotencyKey?: string } {
  const key = c.env.incoming.headers["idempotency-key"];
  return typeof key === "string" ? { idempotencyKey: key } : {};
}

const DIGITS = /^-?\d{1,16}$/;

/** A whole number in a query: decimal digits and nothing else. */
export function queryInteger(min: number, max: number) {
  return z
    .string()
    .transform((text, context) => {
      if (DIGITS.test(text)) return Number(text);
      context.addIssue({ code: "custom", message: "Must be a whole number" });
      return z.NEVER;
    })
    .pipe(z.number().min(min).max(max))
    .openapi({ type: "integer", minimum: min, maximum: max });
}

/** As `queryInteger`, and `standard` where the query does not say. */
export function queryIntegerOr(standard: number, min: number, max: number) {
  return queryInteger(min, max).default(standard).openapi({ default: standard });
}

const MAX_ID_SHOWN = 64;

/** Each worker sends them by the second, and they change nothing that anybody would look for. */
const signsOfLife: ReadonlySet<string> = new Set(["heartbeatWorker", "renewJobs", "sendHeartbeat"]);

/** The routes of a dialect: each asks for its access, and what changes something leaves a line in the audit log. */
export function mount<Name extends string>(
  operations: Readonly<Record<Name, Operation>>,
  handlers: Readonly<Record<Name, Handle>>,
  log: Logger,
): readonly Route[] {
  return (Object.keys(operations) as Name[]).map((name) => {
    const route = operations[name];
    const { method, operationId, "x-access": access } = route;
    const changes = (method !== "get" || access !== "read") && !signsOfLife.has(operationId);
    const answer = handlers[name];
    const path = route.getRoutingPath();
    const namesTarget = path.includes(":");
    const handle = async (c: ApiContext): Promise<Response> => {
      c.set("operation", operationId);
      const caller = c.get("caller");
      const tell = (outcome: string): void => {
        if (changes)
          audit(log, caller, {
            operation: operationId,
            requestId: c.get("requestId"),
            ...(namesTarget && targetOf(c)),
            outcome,
          });
      };
      try {
        requireAccess(caller, access);
        const response = await answer(c);
        tell(response.ok ? "done" : `refused: ${response.status}`);
        return response;
      } catch (error) {
        tell(`refused: ${faultOf(error)}`);
        throw error;
      }
    };
    return { method: method.toUpperCase(), path, handle };
  });
}

function faultOf(error: unknown): string {
  if (error instanceof QueueError) return error.code;
  return error instanceof RequestError ? error.fault : "INTERNAL";
}

/** The job, queue or other thing that the path names. */
function targetOf(c: ApiContext): { readonly target: string } {
  const named = Object.values(c.req.param() as Record<string, string>).join("/");
  return { target: named.slice(0, 256).toWellFormed() };
}

/** @throws QueueError VALIDATION naming every field; `where` names the input as a whole. */
export function parseInput<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  where = "body",
): z.output<Schema> {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  throw new QueueError("VALIDATION", "The request breaks a rule", {
    errors: validationIssues(parsed.error, where),
  });
}

/**
 * The job that the path names by `id`; what is no id is the id of no job.
 * @throws QueueError JOB_NOT_FOUND
 */
export function jobIdIn(c: ApiContext, parameter = "id"): number {
  const spelt = c.req.param(parameter) ?? "";
  c.set("jobId", spelt.slice(0, MAX_ID_SHOWN).toWellFormed());
  const id = parseJobId(spelt);
  if (id === null) throw new QueueError("JOB_NOT_FOUND", "Job not found");
  return id;
}
