import { type JWTPayload, SignJWT } from "jose";
import type { Setup } from "../running-server.ts";
import { serve } from "../running-server.ts";

export const secret = "seven-wells-and-a-flow-line-between-them";

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** Whatever an answer can hold; which of it, the test knows. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as it says
  readonly body: any;
}

export type Call = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Reply>;

export function token(claims: JWTPayload = {}): Promise<string> {
  return new SignJWT({ sub: "ana", roles: ["ADMIN"], ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime("10m")
    .sign(new TextEncoder().encode(secret));
}

export interface Wellflow {
  readonly url: string;
  /** For another server on the same store. */
  readonly env: Readonly<Record<string, string>>;
  /** An ADMIN of the tenant `default`, under `/api/jobs`. */
  readonly call: Call;
  readonly as: (claims: JWTPayload) => Promise<Call>;
  /** Any path, with the ADMIN's token. */
  readonly anywhere: Call;
  readonly anywhereAs: (claims: JWTPayload) => Promise<Call>;
  /** Adds a job, which has to succeed. */
  readonly add: (queue: string, job: object) => Promise<string>;
}

/** A server with a JWT secret and, unless they are the matter, without limits. */
export async function wellflow(setup: Setup = {}): Promise<Wellflow> {
  const off = { RATE_LIMIT_STANDARD: "0", RATE_LIMIT_BULK: "0", RATE_LIMIT_HEALTH: "0" };
  const api = await serve({
    handlers: [],
    ...setup,
    env: { JWT_SECRET: secret, ...off, ...setup.env },
  });
  const caller = async (base: string, claims: JWTPayload): Promise<Call> => {
    const Authorization = `Bearer ${await token(claims)}`;
    return (method, path, body, headers) =>
      api.call(method, `${base}${path}`, body, { Authorization, ...headers });
  };
  const call = await caller("/api/jobs", {});
  return {
    url: api.url,
    env: api.env,
    call,
    as: (claims) => caller("/api/jobs", claims),
    anywhere: await caller("", {}),
    anywhereAs: (claims) => caller("", claims),
    async add(queue, job) {
      const { status, body } = await call("POST", `/queues/${queue}/jobs`, job);
      if (status !== 201) throw new Error(`The job was refused: ${JSON.stringify(body)}`);
      return body.data.jobId as string;
    },
  };
}

export const reading = {
  leaseId: "LEASE-58",
  operatorId: "OP-3",
  location: { latitude: 31.85, longitude: -102.37, county: "Ector", state: "TX" },
  production: { oil: 212, gas: 730, water: 44 },
  validationType: "daily_production",
  includeHistorical: true,
  notifyOnFailure: false,
};

export const notice = { recipientEmail: "ops@example.com", message: "Lease 58 reported late" };
