import { readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import {
  exportJWK,
  generateKeyPair,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
  type CryptoKey,
} from "jose";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { exportData, rawCall, serve, temporaryFolder } from "./running-server.ts";

// Long enough for HS512, which has to be refused for its name alone.
const secret = "correct-horse-battery-staple-and-more-of-it-".repeat(2);
const job = { type: "data_export", data: exportData };

interface Sign {
  readonly key?: string | CryptoKey;
  readonly alg?: string;
  readonly exp?: number | string | null;
}

function token(
  claims: JWTPayload,
  { key = secret, alg = "HS256", exp = "5m" }: Sign = {},
): Promise<string> {
  const jwt = new SignJWT({ sub: "ana", ...claims }).setProtectedHeader({ alg });
  if (exp !== null) jwt.setExpirationTime(exp);
  return jwt.sign(typeof key === "string" ? new TextEncoder().encode(key) : key);
}

function bearer(jwt: string): Record<string, string> {
  return { Authorization: `Bearer ${jwt}` };
}

const unauthenticated = {
  success: false,
  error: expect.any(String),
  details: { code: "AUTHENTICATION_ERROR" },
  timestamp: expect.any(String),
};

// ---- open

test("open: calls from this machine need no token and act as its tenant's ADMIN", async () => {
  const { call, add, url } = await serve({ handlers: [] });
  const id = await add(job);
  const { port } = new URL(url);
  for (const Host of [
    `localhost:${port}`,
    `127.0.0.1:${port}`,
    `[::1]:${port}`,
    "LOCALHOST",
    "api.localhost",
  ]) {
    expect((await rawCall(url, { Host })).status).toBe(200);
  }
  expect((await call("DELETE", `/api/v1/jobs/${id}`)).status).toBe(200);
});

test.each([
  "evil.example",
  "evil.example:3001",
  "127.0.0.1.evil.example",
  "localhost.evil.example",
  "10.0.0.7:3001",
  "0.0.0.0",
  "[::2]",
])("open: the host %j is refused, on every path", async (Host) => {
  const { url } = await serve({ handlers: [] });
  for (const path of ["/api/v1/jobs", "/api/native/jobs", "/health", "/openapi.json", "/x"]) {
    const { status, body } = await rawCall(url, { Host }, path);
    expect([path, status]).toEqual([path, 403]);
    expect(body.error).toMatch(/^Without configured tokens this server is for this machine only/);
  }
});

test.each(["localhost@evil.example", "localhost:3001@evil.example", "localhost/..", "local host"])(
  "a host that is none, %j, is no request",
  async (Host) => {
    const { url } = await serve({ handlers: [] });
    const { status, body } = await rawCall(url, { Host });
    expect(status).toBe(400);
    expect(body).toMatchObject({ success: false, details: { code: "INVALID_JOB_DATA" } });
  },
);

test("open: pages of another origin are refused, those of this server are not", async () => {
  const { url } = await serve({ handlers: [] });
  const { host, port } = new URL(url);
  const status = async (headers: Record<string, string>) =>
    (await rawCall(url, { Host: host, ...headers })).status;
  expect(await status({ Origin: `http://${host}`, "Sec-Fetch-Site": "same-origin" })).toBe(200);
  expect(await status({ "Sec-Fetch-Site": "none" })).toBe(200);
  for (const Origin of [
    "http://evil.example",
    "null",
    `https://${host}`,
    `http://127.0.0.1:${Number(port) + 1}`,
    `http://localhost:${port}`,
    `http://${host}.evil.example`,
  ]) {
    expect([Origin, await status({ Origin })]).toEqual([Origin, 403]);
  }
  for (const site of ["cross-site", "same-site", "anything"]) {
    expect(await status({ "Sec-Fetch-Site": site })).toBe(403);
  }
  const preflight = await rawCall(
    url,
    { Host: host, Origin: "http://evil.example", "Access-Control-Request-Method": "POST" },
    "/api/v1/jobs",
    "OPTIONS",
  );
  expect(preflight.status).toBe(403);
  expect(preflight.headers).not.toHaveProperty("access-control-allow-origin");
});

test("open: development tokens are good, bad ones are refused all the same", async () => {
  const env = { DATA_DIR: await temporaryFolder() };
  const { call } = await serve({ handlers: [], env });
  const file = join(env.DATA_DIR, "development-secret");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const own = await readFile(file, "utf8");
  expect(Buffer.byteLength(own)).toBeGreaterThanOrEqual(32);
  const status = async (headers: Record<string, string>) =>
    (await call("GET", "/api/v1/jobs", undefined, headers)).status;
  expect(await status(bearer(await token({ roles: ["MANAGER"] }, { key: own })))).toBe(200);
  expect(await status(bearer(await token({ roles: ["ADMIN"] })))).toBe(401);
  expect(await status(bearer("x"))).toBe(401);
  expect(await status({ Authorization: "Basic YTpi" })).toBe(401);
});

test("open: the secret outlives a restart, and one that is too short stops the start", async () => {
  const env = { DATA_DIR: await temporaryFolder() };
  const file = join(env.DATA_DIR, "development-secret");
  const first = await serve({ handlers: [], env });
  const own = await readFile(file, "utf8");
  await first.server.close();
  const second = await serve({ handlers: [], env });
  expect(await readFile(file, "utf8")).toBe(own);
  await second.server.close();
  await writeFile(file, "short");
  await expect(serve({ handlers: [], env })).rejects.toThrow(/too short/);
});

// ---- with a secret

const env = { JWT_SECRET: secret };

test("a token is needed everywhere but for the health", async () => {
  const { call, url } = await serve({ handlers: [], env });
  const id = "6a6f6279-6172-8640-8000-000000000001";
  for (const [method, path] of [
    ["GET", "/api/v1/jobs"],
    ["POST", "/api/v1/jobs"],
    ["GET", `/api/v1/jobs/${id}`],
    ["DELETE", `/api/v1/jobs/${id}`],
    ["POST", `/api/v1/jobs/${id}/wait`],
    ["GET", "/api/v1/jobs/stats/summary"],
    ["GET", "/api/v1/nothing"],
    ["GET", "/openapi.json"],
    ["GET", "/docs"],
    ["GET", "/queues"],
  ] as const) {
    const { status, body, headers } = await call(method, path);
    expect([path, status]).toEqual([path, 401]);
    expect(headers.get("www-authenticate")).toBe("Bearer");
    if (path.startsWith("/api/v1")) expect(body).toEqual(unauthenticated);
  }
  const health = await call("GET", "/health");
  expect(health.status).toBe(200);
  // Reached by a name of the operator's choice.
  expect(
    (await rawCall(url, { Host: "jobs.example", ...bearer(await token({ role: "ADMIN" })) }))
      .status,
  ).toBe(200);
});

test("bad tokens", async () => {
  const { call } = await serve({ handlers: [], env });
  const hour = Math.floor(Date.now() / 1000) - 3600;
  const admin = { roles: ["ADMIN"] };
  const good = await token(admin);
  const { privateKey } = await generateKeyPair("RS256");
  const bad: Record<string, string> = {
    expired: await token(admin, { exp: hour }),
    "without exp": await token(admin, { exp: null }),
    unsigned: new UnsecuredJWT({ ...admin, sub: "ana" }).setExpirationTime("5m").encode(),
    "signature cut": good.slice(0, good.lastIndexOf(".") + 1),
    "signature bent": `${good.slice(0, -4)}AAAA`,
    "claims swapped": [
      good.split(".")[0],
      btoa(JSON.stringify({ ...admin, exp: 2 ** 33 })),
      good.split(".")[2],
    ].join("."),
    "another key": await token(admin, { key: `${secret}!` }),
    "another algorithm": await token(admin, { alg: "HS512" }),
    "a public-key algorithm": await token(admin, { alg: "RS256", key: privateKey }),
    "not yet": await token({ ...admin, nbf: hour + 7200 }),
    "no tenant's name": await token({ ...admin, tenantId: "a/b" }),
    "an empty tenant": await token({ ...admin, tenantId: "" }),
    "a tenant too long": await token({ ...admin, tenantId: "t".repeat(129) }),
    "a tenant that is no string": await token({ ...admin, tenantId: 7 }),
    "a tenant that is null": await token({ ...admin, tenantId: null }),
    "no JWT": "abc",
    "three dots": "a.b.c",
    "an API token of nobody": "sk-123456",
  };
  for (const [what, jwt] of Object.entries(bad)) {
    const { status, body } = await call("GET", "/api/v1/jobs", undefined, bearer(jwt));
    expect([what, status]).toEqual([what, 401]);
    expect(body).toEqual(unauthenticated);
  }
  for (const Authorization of [
    "Bearer",
    "Bearer ",
    `Bearer ${good} ${good}`,
    good,
    `Token ${good}`,
    "",
  ]) {
    expect((await call("GET", "/api/v1/jobs", undefined, { Authorization })).status).toBe(401);
  }
  expect(
    (await call("GET", "/api/v1/jobs", undefined, { Authorization: `bearer ${good}` })).status,
  ).toBe(200);
});

test.each([
  ["ADMIN", { read: 200, add: 201, cancel: 200 }],
  ["OPERATOR", { read: 200, add: 201, cancel: 200 }],
  ["MANAGER", { read: 200, add: 403, cancel: 403 }],
  ["GUEST", { read: 403, add: 403, cancel: 403 }],
])("what %s may", async (role, may) => {
  const { call } = await serve({ handlers: [], env });
  const admin = bearer(await token({ roles: ["ADMIN"] }));
  const { body } = await call("POST", "/api/v1/jobs", job, admin);
  const path = `/api/v1/jobs/${body.data.jobId}`;
  for (const claims of [{ role }, { roles: role }, { roles: ["GUEST", role] }]) {
    const own = bearer(await token(claims));
    const status = async (method: string, where: string, what?: unknown) =>
      (await call(method, where, what, own)).status;
    expect(await status("GET", "/api/v1/jobs")).toBe(may.read);
    expect(await status("GET", path)).toBe(may.read);
    expect(await status("GET", "/api/v1/jobs/stats/summary")).toBe(may.read);
    expect(await status("POST", `${path}/wait`, { timeout: 0 })).toBe(may.read === 200 ? 408 : 403);
    expect(await status("POST", "/api/v1/jobs", job)).toBe(may.add);
  }
  const cancelled = await call("DELETE", path, undefined, bearer(await token({ role })));
  expect(cancelled.status).toBe(may.cancel);
  if (may.cancel === 403) expect(cancelled.body.details.code).toBe("AUTHORIZATION_ERROR");
});

test("tenants never see each other's jobs; an ADMIN of all of them does", async () => {
  const { call } = await serve({ handlers: [], env });
  const as = async (tenantId: string | undefined, role = "ADMIN") =>
    bearer(await token({ roles: [role], ...(tenantId === undefined ? {} : { tenantId }) }));
  const add = async (tenantId: string | undefined) =>
    (await call("POST", "/api/v1/jobs", job, await as(tenantId))).body.data.jobId;
  const ids = {
    acme: await add("acme"),
    globex: await add("globex"),
    default: await add(undefined),
    all: await add("*"),
  };
  const list = async (tenantId: string | undefined) => {
    const { body } = await call("GET", "/api/v1/jobs", undefined, await as(tenantId));
    return [body.data.jobs.map(({ id }) => id), body.data.total];
  };
  expect(await list("acme")).toEqual([[ids.acme], 1]);
  expect(await list("globex")).toEqual([[ids.globex], 1]);
  // What `*` adds belongs to the tenant `default`.
  expect(await list(undefined)).toEqual([[ids.all, ids.default], 2]);
  expect(await list("*")).toEqual([[ids.all, ids.default, ids.globex, ids.acme], 4]);

  const acme = await as("acme");
  const never = "6a6f6279-6172-8640-801f-ffffffffffff";
  for (const [method, rest, body] of [
    ["GET", "", undefined],
    ["DELETE", "", undefined],
    ["POST", "/wait", { timeout: 0 }],
  ] as const) {
    const foreign = await call(method, `/api/v1/jobs/${ids.globex}${rest}`, body, acme);
    const unknown = await call(method, `/api/v1/jobs/${never}${rest}`, body, acme);
    expect(foreign.status).toBe(404);
    expect({
      ...foreign.body,
      timestamp: "",
      details: { ...foreign.body.details, jobId: never },
    }).toEqual({
      ...unknown.body,
      timestamp: "",
    });
  }
  const sums = await call("GET", "/api/v1/jobs/stats/summary", undefined, acme);
  expect(sums.body.data).toMatchObject({ total: 1, pending: 1, byPriority: { medium: 1 } });
  const every = await call("GET", "/api/v1/jobs/stats/summary", undefined, await as("*"));
  expect(every.body.data).toMatchObject({ total: 4, byType: { data_export: { total: 4 } } });
  expect((await call("GET", "/api/v1/jobs", undefined, await as("*", "OPERATOR"))).status).toBe(
    403,
  );

  const own = { ...job, data: { ...exportData, tenantId: "acme" } };
  expect((await call("POST", "/api/v1/jobs", own, acme)).status).toBe(201);
  expect((await call("POST", "/api/v1/jobs", own, await as("globex"))).status).toBe(400);
});

test("audience and issuer are checked when they are configured", async () => {
  const { call } = await serve({
    handlers: [],
    env: { ...env, JWT_AUDIENCE: "jobyard", JWT_ISSUER: "https://id.example" },
  });
  const status = async (claims: JWTPayload) =>
    (
      await call(
        "GET",
        "/api/v1/jobs",
        undefined,
        bearer(await token({ role: "ADMIN", ...claims })),
      )
    ).status;
  expect(await status({ aud: "jobyard", iss: "https://id.example" })).toBe(200);
  expect(await status({ aud: ["other", "jobyard"], iss: "https://id.example" })).toBe(200);
  expect(await status({ aud: "other", iss: "https://id.example" })).toBe(401);
  expect(await status({ aud: "jobyard", iss: "https://evil.example" })).toBe(401);
  expect(await status({})).toBe(401);
});

test("API tokens have full access to the tenant default", async () => {
  const { call } = await serve({ handlers: [], env: { API_TOKENS: "first-token,second-token" } });
  for (const one of ["first-token", "second-token"]) {
    const { status } = await call("POST", "/api/v1/jobs", job, bearer(one));
    expect(status).toBe(201);
  }
  for (const one of [
    "third-token",
    "first-toke",
    "first-token,second-token",
    await token({ role: "ADMIN" }),
  ]) {
    expect((await call("GET", "/api/v1/jobs", undefined, bearer(one))).status).toBe(401);
  }
});

test("tokens by public key, beside a secret", async () => {
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  let jwks = "";
  let broken = true;
  const keys = createServer((_, response) => {
    response.writeHead(broken ? 500 : 200, { "Content-Type": "application/json" }).end(jwks);
  });
  await new Promise<void>((resolve) => keys.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void keys.close());
  const { port } = keys.address() as AddressInfo;
  const jwk = await exportJWK(publicKey);
  jwks = JSON.stringify({ keys: [{ ...jwk, alg: "ES256" }] });
  const { call } = await serve({
    handlers: [],
    env: { ...env, JWKS_URL: `http://127.0.0.1:${port}/jwks` },
  });
  const status = async (jwt: string) =>
    (await call("GET", "/api/v1/jobs", undefined, bearer(jwt))).status;
  const claims = { role: "MANAGER" };
  const good = await token(claims, { alg: "ES256", key: privateKey });
  // No fault of the token's: it may be tried again.
  const { status: unavailable, headers } = await call(
    "GET",
    "/api/v1/jobs",
    undefined,
    bearer(good),
  );
  expect([unavailable, headers.get("retry-after")]).toEqual([503, "5"]);
  broken = false;
  expect(await status(good)).toBe(200);
  expect(await status(await token(claims))).toBe(200);
  const stranger = await generateKeyPair("ES256");
  expect(await status(await token(claims, { alg: "ES256", key: stranger.privateKey }))).toBe(401);
  // The public key as if it were a secret.
  expect(await status(await token(claims, { key: JSON.stringify(jwk) }))).toBe(401);
});

test("keys can be exchanged while the server runs", async () => {
  const made = await Promise.all(
    ["first", "second"].map(async (kid) => {
      const { privateKey, publicKey } = await generateKeyPair("RS256");
      const jwk = { ...(await exportJWK(publicKey)), alg: "RS256", kid };
      const sign = (exp: string) =>
        new SignJWT({ sub: "ana", roles: ["ADMIN"] })
          .setProtectedHeader({ alg: "RS256", kid })
          .setExpirationTime(exp)
          .sign(privateKey);
      return { jwk, sign };
    }),
  );
  const [first, second] = made as [(typeof made)[0], (typeof made)[0]];
  let published: object[] = [first.jwk];
  let fetched = 0;
  const keys = createServer((_, response) => {
    fetched++;
    response.end(JSON.stringify({ keys: published }));
  });
  await new Promise<void>((resolve) => keys.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void keys.close());
  const { port } = keys.address() as AddressInfo;
  const { call } = await serve({
    handlers: [],
    env: { JWKS_URL: `http://127.0.0.1:${port}/keys`, JWT_ALGORITHMS: "RS256" },
  });
  const status = async (jwt: string) =>
    (await call("GET", "/api/v1/jobs", undefined, bearer(jwt))).status;
  // The clock alone is moved: unknown keys are looked for every half a minute at most.
  vi.useFakeTimers({ toFake: ["Date"] });
  onTestFinished(() => void vi.useRealTimers());
  expect(await status(await first.sign("1h"))).toBe(200);
  expect(await status(await first.sign("1h"))).toBe(200);
  expect(fetched).toBe(1);
  published = [first.jwk, second.jwk];
  for (let n = 0; n < 5; n++) expect(await status(await second.sign("1h"))).toBe(401);
  expect(fetched).toBe(1);
  vi.setSystemTime(Date.now() + 31_000);
  expect(await status(await second.sign("1h"))).toBe(200);
  expect(await status(await first.sign("1h"))).toBe(200);
  expect(fetched).toBe(2);
  // The old one is withdrawn: it is forgotten with the next look, after ten minutes at most.
  published = [second.jwk];
  vi.setSystemTime(Date.now() + 600_001);
  expect(await status(await second.sign("1h"))).toBe(200);
  expect(await status(await first.sign("1h"))).toBe(401);
});
