import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { DEFAULT_TENANT, type JobQueue } from "@jobyard/core";
import type { Caller } from "../../auth/caller.ts";
import type { Admission, ApiContext, DialectDeps } from "../../dialect.ts";
import { readBody } from "../../json-body.ts";
import { Unfinished } from "../../unfinished.ts";
import { RequestError } from "../../request-error.ts";

/** What an event from outside may be long. */
export const MAX_EVENT_BYTES = 1_000_000;
/** Of events that have not ended, all together: until then nobody knows who sends them. */
const UNFINISHED_BYTES = 64_000_000;

/** As it goes over the wire, so that the queue that is signed for is the one that the route sees. */
const PATH = /^\/webhooks\/incoming\/([A-Za-z0-9_.-]{1,256})$/;
const TENANT = /^[A-Za-z0-9_-]{1,128}$/;
const SIGNATURE = /^(?:sha256=)?([0-9a-f]{64})$/i;
const nobodysSecret = randomBytes(32);

/** Ids that senders give their events, so that one that is sent again is known. */
const eventIds = [
  "idempotency-key",
  "x-event-id",
  "webhook-id",
  "x-github-delivery",
  "x-flashq-delivery",
] as const;

/** An event from outside is let in by its queue's secret as well as by a token. */
export function admission({ queue }: DialectDeps): Admission {
  const unfinished = new Unfinished(UNFINISHED_BYTES);
  return async (c, identify) => {
    const [, name] = PATH.exec(c.req.path) ?? [];
    const signature = c.req.header("x-flashq-signature") ?? c.req.header("x-hub-signature-256");
    const signs = name !== undefined && c.req.method === "POST" && signature !== undefined;
    if (!signs || c.req.header("authorization") !== undefined) return identify();
    const body = await readBody(c, MAX_EVENT_BYTES, unfinished);
    c.set("body", body);
    return senderOf(queue, c.req.query("tenant") ?? DEFAULT_TENANT, name, signature, body);
  };
}

/** The same answer, as fast, whether there is no such tenant, queue or secret, or the signature is another's. */
async function senderOf(
  queue: JobQueue,
  tenant: string,
  name: string,
  signature: string,
  body: Buffer,
): Promise<Caller> {
  const known = TENANT.test(tenant);
  const secret = await queue.of(known ? tenant : DEFAULT_TENANT).incomingSecret(name);
  const right = createHmac("sha256", secret ?? nobodysSecret)
    .update(body)
    .digest();
  const given = Buffer.from(SIGNATURE.exec(signature)?.[1] ?? "", "hex");
  const matches = given.length === right.length && timingSafeEqual(given, right);
  if (!matches || secret === null || !known) {
    throw new RequestError("UNAUTHENTICATED", "The signature is not valid");
  }
  const subject = `incoming ${name}`;
  return { tenant, roles: ["OPERATOR"], system: false, subject, expiresAt: Infinity };
}

/** The event's id, so that it makes one job however often it is sent; not to be taken for another queue's, or a caller's own key. */
export function eventKey(c: ApiContext, queue: string): { readonly idempotencyKey?: string } {
  for (const header of eventIds) {
    const id = c.req.header(header);
    if (id === undefined) continue;
    const hash = createHash("sha256").update(`${queue}\n${header}\n${id}`).digest("hex");
    return { idempotencyKey: `incoming:${hash}` };
  }
  return {};
}
