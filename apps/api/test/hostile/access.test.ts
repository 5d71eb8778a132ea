import { UnsecuredJWT } from "jose";
import { describe, expect, test } from "vitest";
import { type Access, type Role, roles } from "../../src/auth/caller.ts";
import { engines } from "../engines.ts";
import {
  assertQuiet,
  assertRefused,
  assertSound,
  audience,
  bearer,
  calls,
  fortress,
  send,
  tryEach,
} from "./calls.ts";

const patience = 120_000;
const admin = { roles: ["ADMIN"] as const };

/** As the roles are meant, and not as the program has them. */
const mayDo: Readonly<Record<Access, readonly Role[]>> = {
  read: ["ADMIN", "OPERATOR", "MANAGER"],
  operate: ["ADMIN", "OPERATOR"],
  administer: ["ADMIN"],
  system: [],
};

interface AuditLine {
  readonly audit?: true;
  readonly requestId: string;
  readonly [field: string]: unknown;
}

describe.each(engines)("on the %s engine", (engine) => {
  test(
    "every call refuses every bad token, in the dialect's envelope",
    async () => {
      const apiToken = "an-api-token-nobody-should-see";
      const { url, logged } = await fortress({ engine, env: { API_TOKENS: apiToken } });
      const good = await bearer(admin);
      const [, token = ""] = good.Authorization.split(" ");
      const [head, body, signature] = token.split(".");
      const unsigned = new UnsecuredJWT({ sub: "eve", roles: ["ADMIN"], aud: audience })
        .setExpirationTime("5m")
        .encode();
      const hidden = { alg: "none", typ: "JWT" };
      const encoded = Buffer.from(JSON.stringify(hidden)).toString("base64url");
      const bad: Record<string, Record<string, string>> = {
        "no token": {},
        "an empty one": { Authorization: "" },
        "no bearer": { Authorization: `Basic ${Buffer.from("a:b").toString("base64")}` },
        "two words": { Authorization: "Bearer a b" },
        "no JWT": { Authorization: "Bearer x" },
        "an API token with more behind it": { Authorization: `Bearer ${apiToken}x` },
        "a cookie": { Cookie: `token=${token}` },
        unsigned: { Authorization: `Bearer ${unsigned}` },
        "alg none with a signature": { Authorization: `Bearer ${encoded}.${body}.${signature}` },
        "without its signature": { Authorization: `Bearer ${head}.${body}.` },
        "another's body": {
          Authorization: `Bearer ${head}.${unsigned.split(".")[1]}.${signature}`,
        },
        expired: await bearer(admin, { exp: Math.floor(Date.now() / 1000) - 5 }),
        "no exp": await bearer(admin, { exp: null }),
        "another key": await bearer(admin, { key: "a-key-that-is-not-the-configured-one-at-all" }),
        "another audience": await bearer(admin, { aud: "somebody-else" }),
        "not yet": await bearer({ ...admin, nbf: Math.floor(Date.now() / 1000) + 600 }),
        ...Object.fromEntries(
          await Promise.all(
            ["", "a b", "../b", "a/b", "x".repeat(129), "é", 7, null, ["a"], { a: 1 }].map(
              async (tenantId) =>
                [
                  `tenantId ${JSON.stringify(tenantId)}`,
                  await bearer({ ...admin, tenantId }),
                ] as const,
            ),
          ),
        ),
      };
      await tryEach(calls, async (call) => {
        for (const [what, headers] of Object.entries(bad)) {
          const answer = await send(url, call, { headers });
          assertSound(call, answer, {});
          expect(answer.status, `${call.title}: ${what}`).toBe(401);
          expect(answer.headers["www-authenticate"]).toBe("Bearer");
        }
        // In an address a token is for streams alone, which cannot send it otherwise.
        const stream = JSON.stringify(call.operation.responses).includes("event-stream");
        const inQuery = await send(url, call, { query: `token=${token}` });
        if (!stream) expect(inQuery.status, `${call.title}: ?token=`).toBe(401);
      });
      assertQuiet(logged(), token, apiToken, signature ?? "");
    },
    patience,
  );

  test(
    "every call takes the roles that its access says, and no other",
    async () => {
      const { url } = await fortress({ engine });
      const callers = await Promise.all(
        [...roles.map((role) => [role] as const), [] as const].map(
          async (own) => [own, await bearer({ roles: own, tenantId: "acme" })] as const,
        ),
      );
      const unknown = await bearer({ roles: ["admin", "ROOT"] as never });
      const alone = await bearer({ role: "ADMIN", tenantId: "acme" });
      await tryEach(calls, async (call) => {
        const { "x-access": access, request } = call.operation;
        // No JSON: what is let in does nothing.
        const body = request?.body === undefined ? undefined : "no json";
        const status = async (headers: { Authorization: string }): Promise<number> => {
          const sent = { headers, ...(body !== undefined && { body }) };
          const answer = await send(url, call, sent);
          assertSound(call, answer, sent);
          if (answer.status === 403) assertRefused(call.dialect, answer.body, call.title);
          return answer.status;
        };
        for (const [own, headers] of callers) {
          const allowed = own.some((role) => mayDo[access].includes(role));
          const refused = [401, 403].includes(await status(headers));
          expect(refused, `${call.title}, ${access}, as [${own.join()}]`).toBe(!allowed);
        }
        expect(await status(unknown), `${call.title}, as an unknown role`).toBe(403);
        const single = [401, 403].includes(await status(alone));
        expect(single, `${call.title}, by the claim role`).toBe(access === "system");
      });
    },
    patience,
  );

  test(
    "what concerns every tenant takes an ADMIN of all of them",
    async () => {
      const { url } = await fortress({ engine });
      const ofAll = await bearer({ roles: ["ADMIN"], tenantId: "*" });
      const reading = calls.filter(
        ({ operation }) => operation["x-access"] === "system" && operation.method === "get",
      );
      expect(reading).not.toHaveLength(0);
      for (const call of reading) {
        const { status } = await send(url, call, { headers: ofAll });
        // Redis has backups of its own.
        const none = engine === "redis" && call.operation.operationId === "getBackup";
        expect([call.title, status]).toEqual([call.title, none ? 409 : 200]);
      }
      for (const role of ["OPERATOR", "MANAGER"] as const) {
        const headers = await bearer({ roles: [role], tenantId: "*" });
        for (const call of calls) {
          expect((await send(url, call, { headers })).status).toBe(403);
        }
      }
    },
    patience,
  );

  test(
    "every call that can change something leaves a line, signs of life aside: who, what, and how it ended",
    async () => {
      const { url, logged } = await fortress({ engine });
      const operator = await bearer({ roles: ["OPERATOR"], tenantId: "acme" });
      const expected = new Map<string, object>();
      await tryEach(calls, async (call) => {
        const { method, operationId, "x-access": access, request } = call.operation;
        const body = request?.body === undefined ? undefined : "no json";
        const sent = { headers: operator, ...(body !== undefined && { body }) };
        const { status, headers } = await send(url, call, sent);
        if (method === "get" && access === "read") return;
        if (["heartbeatWorker", "renewJobs", "sendHeartbeat"].includes(operationId)) return;
        const ended = status < 300 ? "done" : expect.stringMatching(/^refused: /);
        expected.set(String(headers["x-request-id"]), { operation: operationId, outcome: ended });
      });
      const lines = logged()
        .split("\n")
        .filter((text) => text.includes('"audit":true'))
        .map((text) => JSON.parse(text) as AuditLine);
      for (const [requestId, { ...call }] of expected) {
        const own = lines.filter((one) => one.requestId === requestId);
        expect(own).toEqual([
          expect.objectContaining({
            subject: "mallory",
            tenant: "acme",
            roles: ["OPERATOR"],
            ...call,
          }),
        ]);
      }
      const fields = new Set(lines.flatMap((one) => Object.keys(one)));
      const meant = [
        "audit",
        "subject",
        "tenant",
        "roles",
        "requestId",
        "operation",
        "target",
        "outcome",
      ];
      const pinos = ["level", "time", "pid", "hostname", "msg"];
      expect(
        [...fields].filter((field) => !meant.includes(field) && !pinos.includes(field)),
      ).toEqual([]);
      expect(expected.size).toBeGreaterThan(30);
    },
    patience,
  );
});
