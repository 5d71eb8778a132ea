import { z } from "@hono/zod-openapi";
import type { QueueError } from "@jobyard/core";

/** `{ success, data | error, details, timestamp }`: the envelope of the v1 and the native dialect. */

const moment = z.iso.datetime();

export function successSchema<Data extends z.ZodType>(data: Data) {
  return z.object({ success: z.literal(true), data, timestamp: moment });
}

export const refusalSchema = z.object({
  success: z.literal(false),
  error: z.string(),
  details: z.looseObject({ code: z.string() }),
  timestamp: moment,
});

export type Refusal = z.output<typeof refusalSchema>;

let spelt = { at: 0, text: "" };

/** Now; answers are many in a millisecond. */
export function timestamp(): string {
  const at = Date.now();
  if (at !== spelt.at) spelt = { at, text: new Date(at).toISOString() };
  return spelt.text;
}

export function success<Data>(data: Data) {
  return { success: true as const, data, timestamp: timestamp() };
}

export function refusal(error: string, details: Refusal["details"]): Refusal {
  return { success: false, error, details, timestamp: timestamp() };
}

/** Full seconds; a client that is refused for now has to know when to come back. */
export function retryAfter({ details }: QueueError, status: number): Record<string, string> {
  if (status !== 429 && status !== 503) return {};
  return { "Retry-After": String(Math.max(1, Math.ceil((details.retryAfterMs ?? 1000) / 1000))) };
}
