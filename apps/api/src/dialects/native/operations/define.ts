import type { z } from "@hono/zod-openapi";
import type { Access } from "../../../auth/caller.ts";
import { examples, exampleTime } from "../examples.ts";
import { successSchema } from "../../../envelope.ts";
import { operation, type Operation } from "../../../operations.ts";
import { type NativeCode, refusal } from "../schemas/basics.ts";

export const BASE = "/api/native";

type Method = "get" | "post" | "put" | "patch" | "delete";

type Responses = Parameters<typeof operation>[1]["responses"];

interface Definition {
  readonly id: string;
  readonly summary: string;
  readonly description?: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly headers?: z.ZodObject;
  /** JSON; `optional`: an empty body is taken as `{}`. */
  readonly body?: z.ZodType;
  readonly bodyOptional?: boolean;
  /** A body that is not JSON. */
  readonly content?: { readonly type: string; readonly description: string };
  /** What comes back in the envelope: of a 201 where something was made. */
  readonly data?: z.ZodType;
  readonly made?: boolean;
  /** In place of `data`: what comes back without an envelope. */
  readonly responses?: Responses;
  /** Beside those that any call may be refused with. */
  readonly refused?: readonly (keyof typeof refusals)[];
}

const refusals = {
  INVALID_JOB_DATA: [400, "The request breaks a rule"],
  JOB_NOT_FOUND: [404, "No such job"],
  QUEUE_NOT_FOUND: [404, "No such queue"],
  SCHEDULE_NOT_FOUND: [404, "No such schedule"],
  WEBHOOK_NOT_FOUND: [404, "No such webhook"],
  FILE_NOT_FOUND: [404, "No such file"],
  JOB_TIMEOUT: [408, "It goes on; `details.state` and `details.progress` tell how far it is"],
  DUPLICATE_JOB: [409, "An unfinished job holds the unique key: `details.jobId`"],
  DUPLICATE_SCHEDULE: [409, "There is a schedule of that name"],
  INVALID_STATE: [409, "Its state forbids it"],
  JOB_NOT_CANCELLABLE: [409, "It has ended already"],
  JOB_NOT_RETRYABLE: [409, "It has not failed"],
  AUTHENTICATION_ERROR: [401, "No token, or a bad one"],
  AUTHORIZATION_ERROR: [403, "The token may not do this"],
  QUEUE_FULL: [429, "A limit is reached; see Retry-After"],
  SYSTEM_ERROR: [500, "Our own fault; the log has more under `details.id`"],
  /** Told as INVALID_JOB_DATA. */
  PAYLOAD_TOO_LARGE: [413, "More bytes or values than are taken"],
} as const;

const always = [
  "AUTHENTICATION_ERROR",
  "AUTHORIZATION_ERROR",
  "QUEUE_FULL",
  "SYSTEM_ERROR",
] as const;

function errorBody(code: NativeCode, error: string) {
  const example = { success: false, error, details: { code }, timestamp: exampleTime };
  return { content: { "application/json": { schema: refusal, example } } };
}

/** One operation: `get /jobs/{id}` and what goes in and out. */
export function define(
  access: Access,
  address: `${Method} /${string}`,
  definition: Definition,
): Operation {
  const { id, summary, description, params, query, headers, body, bodyOptional, content } =
    definition;
  const [method, path] = address.split(" ") as [Method, string];
  const refused = [...(definition.refused ?? []), ...always];
  const takes = params ?? query ?? body ?? content;
  if (takes !== undefined) refused.unshift("INVALID_JOB_DATA");
  if (body !== undefined || content !== undefined) refused.unshift("PAYLOAD_TOO_LARGE");
  const responses: Responses = {};
  if (definition.data !== undefined) {
    responses[definition.made === true ? 201 : 200] = {
      description: definition.made === true ? "Made, and on disk" : "Done",
      content: {
        "application/json": {
          schema: successSchema(definition.data),
          example: { success: true, data: examples[id]?.data, timestamp: exampleTime },
        },
      },
    };
  }
  Object.assign(responses, definition.responses);
  for (const one of refused) {
    const [status, text] = refusals[one];
    const code = one === "PAYLOAD_TOO_LARGE" ? "INVALID_JOB_DATA" : one;
    const told = `\`${code}\`: ${text}`;
    const before = responses[status] as { description: string } | undefined;
    const description = before === undefined ? told : `${before.description}\n\n${told}`;
    responses[status] = { description, ...errorBody(code, text) };
  }
  const away = "The store cannot be reached; see Retry-After";
  responses[503] = { description: `\`SYSTEM_ERROR\`: ${away}`, ...errorBody("SYSTEM_ERROR", away) };
  const sent = bodyOf(body, examples[id]?.body, bodyOptional !== true, content);
  return operation(access, {
    method,
    path: `${BASE}${path}`,
    operationId: id,
    summary,
    tags: [path.split("/")[1] as string],
    ...(description === undefined ? {} : { description }),
    request: {
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { query }),
      ...(headers === undefined ? {} : { headers }),
      ...(sent === undefined ? {} : { body: sent }),
    },
    responses,
  });
}

function bodyOf(
  schema: z.ZodType | undefined,
  example: unknown,
  required: boolean,
  content: Definition["content"],
) {
  if (content !== undefined) {
    const { type, description } = content;
    const binary = { type: "string", format: "binary" } as const;
    return { required, description, content: { [type]: { schema: binary } } };
  }
  return schema === undefined
    ? undefined
    : { required, content: { "application/json": { schema, example } } };
}

/** Bytes as they are. */
export function bytes(description: string, type = "application/octet-stream") {
  return {
    description,
    content: { [type]: { schema: { type: "string", format: "binary" } as const } },
  };
}

/** Lines of JSON, each sent as soon as it is known. */
export function lines(description: string, schema: z.ZodType) {
  return { description, content: { "application/x-ndjson": { schema } } };
}
