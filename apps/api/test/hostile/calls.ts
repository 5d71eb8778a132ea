import { Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { SignJWT } from "jose";
import { pino } from "pino";
import { afterAll, expect } from "vitest";
import type { Role } from "../../src/auth/caller.ts";
import type { Dialect } from "../../src/dialect.ts";
import { dialects } from "../../src/dialects/index.ts";
import type { Operation } from "../../src/operations.ts";
import { assertDocumented } from "../documented.ts";
import { type Api, serve, type Setup } from "../running-server.ts";

/*
 * Hostile input for every call of every dialect that is listed: made from the operations alone, so that a call that is
 * new is tried too. What each answer must be: no failure of ours, as documented, without internals.
 */

export interface Call {
  readonly dialect: Dialect;
  readonly operation: Operation;
  /** For messages: `v1 post /api/v1/jobs`. */
  readonly title: string;
}

export const calls: readonly Call[] = dialects.flatMap((dialect) =>
  Object.values(dialect.operations).map((operation) => ({
    dialect,
    operation,
    title: `${dialect.name} ${operation.method} ${operation.path}`,
  })),
);

export interface Sent {
  /** Values of the path's parameters, encoded; default: something that does not exist. */
  readonly params?: Readonly<Record<string, string>>;
  /** Without the question mark. */
  readonly query?: string;
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of the operation's own. */
  readonly method?: string;
  /** In place of the operation's own, without the query. */
  readonly path?: string;
}

export interface Answered {
  readonly path: string;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Undefined where it is not JSON. */
  readonly body: unknown;
}

/** For an answer, on a machine that may be at other work. */
const PATIENCE_MS = 30_000;
const agent = new Agent({ keepAlive: true, maxSockets: 16 });
afterAll(() => agent.destroy());

/** What names something that was never there. */
function ghost(parameter: string): string {
  return /id$/i.test(parameter) || parameter === "delivery"
    ? "9007199254740991"
    : `no-such-${parameter}`;
}

export function pathOf({ operation }: Call, params: Sent["params"] = {}): string {
  return operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name] ?? ghost(name));
}

export function parametersOf({ operation }: Call): string[] {
  return [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
}

interface JsonContent {
  readonly content: { readonly "application/json"?: { readonly example?: unknown } };
}

/** Of the body, where it is JSON. One that says how long to wait does so for a moment. */
export function exampleOf({ operation }: Call): unknown {
  const body = operation.request?.body as JsonContent | undefined;
  const example = body?.content["application/json"]?.example;
  const waits = typeof example === "object" && example !== null && "waitMs" in example;
  return waits ? { ...example, waitMs: 20 } : example;
}

/** As it is written: paths are not tidied, lengths not counted. */
export function send(url: string, call: Call, sent: Sent = {}): Promise<Answered> {
  const { body, headers = {}, method = call.operation.method } = sent;
  const address = sent.path ?? pathOf(call, sent.params);
  const path = sent.query === undefined ? address : `${address}?${sent.query}`;
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const request = httpRequest(
      {
        agent,
        hostname,
        port,
        path,
        method: method.toUpperCase(),
        headers: {
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...headers,
        },
      },
      (response) => {
        const { statusCode: status = 0, headers } = response;
        const chunks: Buffer[] = [];
        const done = (): void => {
          clearTimeout(late);
          const text = Buffer.concat(chunks).toString();
          resolve({ path, status, headers, text, body: parsed(text) });
        };
        // A stream goes on: its beginning is the answer.
        if (/event-stream|ndjson/.test(headers["content-type"] ?? "")) {
          done();
          request.destroy();
          return;
        }
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", done);
        response.on("error", reject);
      },
    );
    const late = setTimeout(() => {
      reject(new Error(`${call.title}: ${path} is not answered`));
      request.destroy();
    }, PATIENCE_MS);
    request.on("error", (error) => {
      clearTimeout(late);
      reject(error);
    });
    request.end(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const internals =
  /node_modules|\.ts:\d|\.js:\d|\bat \w+ \(|sqlite|redis|bullmq|ioredis|\blua\b|\bzod\b|typeerror|syntaxerror|cannot read|is not a function|unexpected token|\[object|\/tmp\/|errno|ECONN/i;

/** What holds for every answer to whatever was sent. */
export function assertSound(call: Call, { path, status, text, body }: Answered, sent: Sent): void {
  const what = `${call.title}: ${path.slice(0, 200)} ${describe(sent.body)} answered ${status} ${text.slice(0, 500)}`;
  expect(status, what).toBeLessThan(500);
  if (status >= 400) {
    expect(body, what).toBeDefined();
    expect(text, what).not.toMatch(internals);
    assertRefused(call.dialect, body, what);
  }
  // What matches no route is no answer of the call's.
  const routed = sent.path === undefined && sent.method === undefined && !/nothing here/.test(text);
  if (routed && body !== undefined) {
    const method = call.operation.method.toUpperCase();
    const shown = pathOf(call);
    try {
      assertDocumented({ method, path: shown, sent: undefined, status, answered: body });
    } catch (error) {
      throw new Error(what, { cause: error });
    }
  }
}

interface Schema {
  safeParse(value: unknown): { readonly success: boolean };
}

/** In the dialect's own envelope: any of its calls shows it as the answer to a missing token. */
export function assertRefused({ name, operations }: Dialect, body: unknown, what: string): void {
  const [first] = Object.values(operations);
  const refusal = first?.responses[401] as { content: { "application/json": { schema: Schema } } };
  const { success } = refusal.content["application/json"].schema.safeParse(body);
  expect(success, `${what}: not in the envelope of ${name}`).toBe(true);
}

function describe(body: Sent["body"]): string {
  return body === undefined ? "" : Buffer.from(body).toString().slice(0, 300);
}

const MOST_SHOWN = 25;
const MOST_OF_ONE = 800;

/** Tries every item, some at once, and tells of all that were not as they should be. */
export async function tryEach<Item>(
  items: Iterable<Item>,
  attempt: (item: Item) => Promise<void>,
  atOnce = 8,
): Promise<number> {
  const rest = items[Symbol.iterator]();
  const faults = new Map<string, string>();
  let tried = 0;
  const one = async (): Promise<void> => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) {
      tried++;
      await attempt(next.value).catch((error: unknown) => {
        const message = messagesOf(error);
        // One of each call is enough to begin with.
        const about = message.slice(0, 40);
        faults.set(about, faults.get(about) ?? message.slice(0, MOST_OF_ONE));
      });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  expect(faults.size, [...faults.values()].slice(0, MOST_SHOWN).join("\n\n")).toBe(0);
  return tried;
}

function messagesOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause === undefined ? message : `${message}\n  ${messagesOf(cause)}`;
}

// ---- a server that counts nobody's requests, and who calls it

const secret = "hostile-tests-have-a-secret-of-more-than-32-bytes";
export const audience = "jobyard-hostile";

export interface Claims {
  readonly roles?: readonly Role[];
  readonly tenantId?: unknown;
  readonly [claim: string]: unknown;
}

interface Signing {
  readonly key?: string;
  /** null: none. */
  readonly exp?: string | number | null;
  readonly aud?: string;
}

export async function bearer(
  claims: Claims,
  { key = secret, exp = "10m", aud = audience }: Signing = {},
): Promise<{ Authorization: string }> {
  const jwt = new SignJWT({ sub: "mallory", aud, ...claims }).setProtectedHeader({ alg: "HS256" });
  if (exp !== null) jwt.setExpirationTime(exp);
  return { Authorization: `Bearer ${await jwt.sign(new TextEncoder().encode(key))}` };
}

const unlimited = {
  RATE_LIMIT_STANDARD: "0",
  RATE_LIMIT_BULK: "0",
  RATE_LIMIT_HEALTH: "0",
  DATACLOAK_JOBS_PER_MINUTE: "0",
  DATACLOAK_JOBS_PER_HOUR: "0",
  DATACLOAK_MAX_QUEUE_SIZE: "0",
  BATCH_REQUESTS_PER_MINUTE: "0",
};

export interface Fortress extends Api {
  /** All that was logged, as JSON lines. */
  readonly logged: () => string;
}

/** Nothing runs typed jobs; every line of the log is kept. */
export async function fortress(setup: Setup = {}): Promise<Fortress> {
  const lines: string[] = [];
  const log = pino({ level: "trace" }, { write: (line: string) => void lines.push(line) });
  const env = { ...unlimited, JWT_SECRET: secret, JWT_AUDIENCE: audience, ...setup.env };
  const api = await serve({ handlers: [], ...setup, env, log });
  return { ...api, logged: () => lines.join("") };
}

/** At the end of a test: nothing failed behind the answers, and nothing of what was carried is in the log. */
export function assertQuiet(logged: string, ...carried: string[]): void {
  const failures = logged.split("\n").filter((line) => /"level":(50|60)/.test(line));
  expect(failures).toEqual([]);
  for (const text of carried) expect(logged.includes(text), `${text} is in the log`).toBe(false);
}
