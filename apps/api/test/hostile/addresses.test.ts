import { parseJobId } from "@jobyard/core";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { dialects } from "../../src/dialects/index.ts";
import {
  assertQuiet,
  assertRefused,
  assertSound,
  bearer,
  type Call,
  calls,
  fortress,
  parametersOf,
  pathOf,
  send,
  tryEach,
} from "./calls.ts";

const patience = 120_000;

/** As they stand in a path. */
const wrongNames = [
  "0",
  "-1",
  "007",
  "1.0",
  "1e3",
  "0x10",
  "null",
  "undefined",
  "NaN",
  "9007199254740991",
  "9007199254740992",
  "99999999999999999999",
  "550e8400-e29b-41d4-a716-446655440000",
  "6a6f6279-6172-8640-8000-00000000ffff",
  "6a6f6279-6172-8640-8000-000000000000",
  "constructor",
  "__proto__",
  "toString",
  "%00",
  "%20",
  "%2e%2e",
  "..%2f..%2f..%2fetc%2fpasswd",
  "..%5c..",
  "1%2F2",
  "%",
  "%ZZ",
  "%ED%A0%80",
  "%F0%9F%92%A5",
  "a%0d%0aX-Injected:%20yes",
  "'%20OR%201=1--",
  "%7Bjobs%7D:*",
  "*",
  "x".repeat(3000),
];

/** Whether a parameter is a job's id; of those no spelling above is one that exists. */
function isJobId({ operation: { path } }: Call, parameter: string): boolean {
  return new RegExp(`/jobs/\\{${parameter}\\}`).test(path);
}

function* wrongPaths(): Generator<{ call: Call; parameter: string; name: string }> {
  for (const call of calls) {
    for (const parameter of parametersOf(call)) {
      for (const name of wrongNames) yield { call, parameter, name };
    }
  }
}

describe.each(engines)("on the %s engine", (engine) => {
  test(
    "whatever stands in a path, nothing fails, and what is no job's id is no job",
    async () => {
      const { url, logged } = await fortress({ engine });
      const headers = await bearer({ roles: ["ADMIN"] });
      const tried = await tryEach(wrongPaths(), async ({ call, parameter, name }) => {
        const takesBody = call.operation.request?.body !== undefined;
        const params = { [parameter]: name };
        // A segment that leads upwards makes another address of it.
        const path = name === "%2e%2e" && { path: pathOf(call, params) };
        const sent = { params, headers, ...path, ...(takesBody && { body: "{}" }) };
        const answer = await send(url, call, sent);
        assertSound(call, answer, sent);
        expect(answer.headers).not.toHaveProperty("x-injected");
        if (path !== false || !isJobId(call, parameter)) return;
        // A body that says nothing may be what is refused first.
        expect(takesBody ? [400, 404] : [404], `${call.title} ${name}`).toContain(answer.status);
      });
      expect(wrongNames.filter((name) => parseJobId(name) !== null)).toHaveLength(2);
      expect(tried).toBeGreaterThan(1000);
      assertQuiet(logged(), headers.Authorization);
    },
    patience,
  );

  interface Parameter {
    readonly name: string;
    readonly schema?: {
      readonly type?: string;
      readonly enum?: readonly unknown[];
      readonly minimum?: number;
      readonly maximum?: number;
    };
  }

  const wrongValues = [
    "",
    "-1",
    "0",
    "1.5",
    "NaN",
    "1e999",
    "0x10",
    "99999999999999999999",
    "%20",
    "%00",
    "%",
    "%ED%A0%80",
    "__proto__",
    "[]",
    "{}",
    "null",
    "true",
    "x".repeat(5000),
  ];

  function* wrongQueries(documents: ReadonlyMap<string, readonly Parameter[]>) {
    for (const call of calls) {
      for (const parameter of documents.get(call.title) ?? []) {
        for (const value of wrongValues) yield { call, parameter, value };
        yield { call, parameter, value: `1&${parameter.name}=2` };
        yield { call, parameter, value: `1&${parameter.name}[]=2&${parameter.name}[a]=3` };
      }
    }
  }

  function forbids({ schema = {} }: Parameter, value: string): boolean {
    const { type, enum: words, minimum = -Infinity, maximum = Infinity } = schema;
    if (value.includes("&") || /%(?!20|00)/.test(value)) return false;
    const text = decodeURIComponent(value);
    if (words !== undefined) return !words.includes(text);
    if (type !== "integer") return false;
    return !/^-?\d+$/.test(text) || Number(text) < minimum || Number(text) > maximum;
  }

  test(
    "whatever stands in a query, nothing fails, and what the document forbids is refused",
    async () => {
      const { url, logged } = await fortress({ engine });
      const headers = await bearer({ roles: ["ADMIN"] });
      const documents = new Map<string, readonly Parameter[]>();
      for (const { name } of dialects) {
        const response = await fetch(`${url}/openapi/${name}.json`, { headers });
        const { paths } = (await response.json()) as {
          paths: Record<string, Record<string, { parameters?: (Parameter & { in: string })[] }>>;
        };
        for (const [path, item] of Object.entries(paths)) {
          for (const [method, { parameters = [] }] of Object.entries(item)) {
            const queries = parameters.filter((one) => one.in === "query");
            documents.set(`${name} ${method} ${path}`, queries);
          }
        }
      }
      const tried = await tryEach(wrongQueries(documents), async ({ call, parameter, value }) => {
        const takesBody = call.operation.request?.body !== undefined;
        const query = `${parameter.name}=${value}`;
        const sent = { query, headers, ...(takesBody && { body: "{}" }) };
        const answer = await send(url, call, sent);
        assertSound(call, answer, sent);
        if (!forbids(parameter, value)) return;
        // What is named in the path does not exist either.
        const refused = parametersOf(call).length === 0 ? [400] : [400, 404];
        expect(refused, `${call.title}?${query.slice(0, 80)}: ${answer.text}`).toContain(
          answer.status,
        );
      });
      expect(tried).toBeGreaterThan(500);
      assertQuiet(logged(), headers.Authorization);
    },
    patience,
  );

  const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

  test(
    "unknown routes and methods are answered in the dialect's envelope",
    async () => {
      const { url, logged } = await fortress({ engine });
      const headers = await bearer({ roles: ["ADMIN"] });
      const known = new Map<string, Set<string>>();
      for (const call of calls) {
        const methods = known.get(pathOf(call)) ?? new Set();
        known.set(pathOf(call), methods.add(call.operation.method.toUpperCase()));
      }
      await tryEach(calls, async (call) => {
        const path = pathOf(call);
        for (const method of methods) {
          if (known.get(path)?.has(method) === true) continue;
          const answer = await send(url, call, { method, path, headers });
          // Another call's path may match this one: what it names does not exist.
          expect([404, 405], `${method} ${path}: ${answer.text}`).toContain(answer.status);
          assertRefused(call.dialect, answer.body, `${method} ${path}`);
          if (answer.status !== 405) continue;
          const allowed = String(answer.headers["allow"]).split(", ");
          expect(allowed.every((one) => [...methods, "HEAD"].includes(one))).toBe(true);
          expect(allowed.includes("HEAD"), `${path} takes ${allowed.join()}`).toBe(
            allowed.includes("GET"),
          );
        }
        for (const unknown of [
          `${path}/no-such-part/of-it`,
          `${path}//`,
          `${call.dialect.prefix}/none-of-these`,
        ]) {
          const answer = await send(url, call, { method: "PROPFIND", path: unknown, headers });
          expect([404, 405], `${unknown}: ${answer.text}`).toContain(answer.status);
          assertRefused(call.dialect, answer.body, unknown);
        }
      });
      assertQuiet(logged());
    },
    patience,
  );

  test(
    "a request whose host or address is none is refused in the dialect's envelope",
    async () => {
      const { url, logged } = await fortress({ engine });
      const headers = await bearer({ roles: ["ADMIN"] });
      for (const call of calls) {
        const path = pathOf(call);
        const malformed = [
          { path, headers: { ...headers, Host: "local host" } },
          { path, headers: { ...headers, Host: "localhost@elsewhere.example" } },
          { path, headers: { ...headers, Host: "[::1" } },
          { path: `${path}\\..`, headers },
          { path: `http://localhost:99999${path}`, headers },
        ];
        for (const sent of malformed) {
          const answer = await send(url, call, sent);
          const what = `${call.title} ${sent.path} ${JSON.stringify(sent.headers)}`;
          expect(answer.status, `${what}: ${answer.text}`).toBe(400);
          assertRefused(call.dialect, answer.body, what);
          expect(answer.headers["x-request-id"]).toBeDefined();
        }
      }
      assertQuiet(logged());
    },
    patience,
  );

  test("HEAD is answered as GET is, without a body", async () => {
    const { url, logged } = await fortress({ engine });
    const headers = await bearer({ roles: ["ADMIN"], tenantId: "*" });
    const reading = calls.filter(({ operation }) => operation.method === "get");
    await tryEach(reading, async (call) => {
      // Both exist before their first job.
      const params = { queueName: "data-validation", queue: "data-validation" };
      const get = await send(url, call, { headers, params });
      const head = await send(url, call, { headers, params, method: "HEAD" });
      const told = ({ status, headers: own }: typeof get) => [status, own["content-type"]];
      expect(told(head), `${call.title}: ${get.text.slice(0, 200)}`).toEqual(told(get));
      expect(head.text).toBe("");
    });
    expect(reading.length).toBeGreaterThan(30);
    assertQuiet(logged());
  });

  test("no page of another origin is invited, whatever it asks", async () => {
    const { url } = await fortress({ engine });
    await tryEach(calls, async (call) => {
      const asks = {
        Origin: "https://elsewhere.example",
        "Access-Control-Request-Method": call.operation.method.toUpperCase(),
        "Access-Control-Request-Headers": "authorization",
      };
      for (const method of ["OPTIONS", call.operation.method]) {
        const { status, headers } = await send(url, call, { method, headers: asks });
        expect([401, 404, 405]).toContain(status);
        expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual(
          [],
        );
        expect(headers["x-content-type-options"]).toBe("nosniff");
        expect(headers["cache-control"]).toBe("no-store");
        expect(headers["content-security-policy"]).toContain("default-src 'none'");
        expect(headers["x-request-id"]).toBeDefined();
      }
    });
  });
});
