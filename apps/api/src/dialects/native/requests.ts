import { ALL_TENANTS, type JobQueue, QueueError, type TenantQueue } from "@jobyard/core";
import { z } from "zod";
import type { ApiContext } from "../../dialect.ts";
import { success, timestamp } from "../../envelope.ts";
import { readJsonOrEmpty } from "../../json-body.ts";
import { parseInput } from "../../operations.ts";
import { RequestError } from "../../request-error.ts";
import { tenantQuery } from "./schemas/basics.ts";

/** Where nothing large is sent. */
const SMALL_BODY = 100_000;

/** The parameters of the address; those that the schema has as lists can come several times. */
export function queryOf<Schema extends z.ZodObject>(
  c: ApiContext,
  schema: Schema,
): z.output<Schema> {
  const given: Record<string, unknown> = {};
  const sent = c.req.queries();
  for (const [field, type] of Object.entries(schema.shape)) {
    const values = sent[field];
    if (values === undefined) continue;
    given[field] = values.length === 1 && !isList(type as z.ZodType) ? values[0] : values;
  }
  return parseInput(schema, given, "query");
}

function isList(type: z.ZodType): boolean {
  if (type instanceof z.ZodOptional || type instanceof z.ZodDefault) {
    return isList(type.unwrap() as z.ZodType);
  }
  return type instanceof z.ZodArray;
}

/** @param judged - as `readJson`. @throws QueueError VALIDATION, PAYLOAD_TOO_LARGE; an empty body reads as `{}`. */
export async function bodyOf<Schema extends z.ZodType>(
  c: ApiContext,
  schema: Schema,
  maxBytes = SMALL_BODY,
  judged: readonly string[] = [],
): Promise<z.output<Schema>> {
  return parseInput(schema, await readJsonOrEmpty(c, maxBytes, { judged }));
}

/**
 * The caller's view of the queues; a caller for all tenants can name the one that is meant.
 * @throws QueueError VALIDATION, RequestError FORBIDDEN
 */
export function scopeOf(
  c: ApiContext,
  queue: JobQueue,
  { tenant: named }: { readonly tenant?: string | undefined } = tenantIn(c),
): TenantQueue {
  const { tenant } = c.get("caller");
  if (named === undefined || named === tenant) return queue.of(tenant);
  if (tenant === ALL_TENANTS) return queue.of(named);
  throw new RequestError("FORBIDDEN", "Only a token for all tenants can name a tenant");
}

function tenantIn(c: ApiContext): z.output<typeof tenantQuery> {
  // Most calls that add or end jobs have no query: nothing is to be parsed then.
  return c.env.incoming.url?.includes("?") === true ? queryOf(c, tenantQuery) : {};
}

export function answer(c: ApiContext, data: unknown, status: 200 | 201 = 200): Response {
  return c.json(success(data), status);
}

/** Of data that is JSON text already. */
export function answerText(c: ApiContext, data: string): Response {
  const text = `{"success":true,"data":${data},"timestamp":"${timestamp()}"}`;
  return c.body(text, 200, { "Content-Type": "application/json" });
}

/** The outcome of one item of a batch. */
export async function outcomeOf<Value>(attempt: Promise<Value>): Promise<Value | QueueError> {
  try {
    return await attempt;
  } catch (error) {
    if (error instanceof QueueError) return error;
    throw error;
  }
}

/** Where the store is away, the whole call is refused and not each item. @throws QueueError UNAVAILABLE */
export function refuseIfAway(outcomes: readonly unknown[]): void {
  const away = outcomes.every(
    (outcome) => outcome instanceof QueueError && outcome.code === "UNAVAILABLE",
  );
  if (away) throw outcomes[0];
}
