import { createHash, timingSafeEqual } from "node:crypto";
import {
  ALL_TENANTS,
  type Config,
  DEFAULT_TENANT,
  isTenant,
  jwtAlgorithmsFor,
  QueueError,
} from "@jobyard/core";
import {
  createRemoteJWKSet,
  errors,
  type JWTHeaderParameters,
  type JWTPayload,
  jwtVerify,
} from "jose";
import { RequestError } from "../request-error.ts";
import { type Caller, type Role, roles } from "./caller.ts";

/**
 * Says who calls, by the `Authorization` header. METRICS_TOKEN is one only where figures are read.
 * @throws RequestError UNAUTHENTICATED
 */
export type Authenticate = (
  authorization: string | undefined,
  wanted?: "figures",
) => Caller | Promise<Caller>;

const BEARER = /^Bearer +([^\s]+) *$/i;

/** `developmentSecret` signs the tokens of an open server, which lets in calls without one as well. */
export function authenticator(
  config: Config["auth"],
  developmentSecret: string | null,
): Authenticate {
  const { apiTokens, metricsToken, jwksUrl, open } = config;
  const secret = config.jwtSecret ?? developmentSecret;
  const secretKey = secret === null ? null : new TextEncoder().encode(secret);
  const keySet = jwksUrl === null ? null : createRemoteJWKSet(new URL(jwksUrl));
  const algorithms =
    config.jwtAlgorithms ??
    jwtAlgorithmsFor({ secret: secretKey !== null, keySet: keySet !== null });
  const options = {
    algorithms: [...algorithms],
    requiredClaims: ["exp"],
    ...(config.jwtAudience === null ? {} : { audience: config.jwtAudience }),
    ...(config.jwtIssuer === null ? {} : { issuer: config.jwtIssuer }),
  };
  const known = apiTokens.map((token) => tokenHolder(token, "api-token"));
  const scrapers = metricsToken === null ? [] : [tokenHolder(metricsToken, "metrics-token")];

  const verified = async (token: string): Promise<Caller> => {
    try {
      const { payload } = await jwtVerify(
        token,
        (header: JWTHeaderParameters) => {
          const key = header.alg.startsWith("HS") ? secretKey : keySet;
          if (key === null) throw new errors.JOSEAlgNotAllowed();
          return typeof key === "function" ? key(header) : key;
        },
        options,
      );
      // Some signatures can be spelt in several ways; what they sign cannot.
      const signed = token.slice(0, token.lastIndexOf("."));
      return callerOf(payload, digest(signed).toString("base64url"));
    } catch (error) {
      throw refusalOf(error);
    }
  };

  return (authorization, wanted) => {
    if (authorization === undefined) {
      if (open) return anybody;
      throw tokenMissing();
    }
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) {
      throw unauthenticated("The Authorization header must be: Bearer <token>");
    }
    const holder =
      holderOf(token, known) ?? (wanted === "figures" ? holderOf(token, scrapers) : undefined);
    return holder ?? verified(token);
  };
}

const fullAccess = {
  tenant: DEFAULT_TENANT,
  roles: ["ADMIN"],
  system: true,
  expiresAt: Infinity,
} as const;

/** On an open server. */
const anybody: Caller = { ...fullAccess, subject: null };

/** The year 10000: an ISO date has no place for it. */
const NO_DATE = Date.UTC(10_000, 0);

function callerOf(payload: JWTPayload, credential: string): Caller {
  const { tenantId = DEFAULT_TENANT, sub, exp = 0 } = payload;
  if (typeof tenantId !== "string" || (tenantId !== ALL_TENANTS && !isTenant(tenantId))) {
    throw unauthenticated("The token's tenantId is malformed");
  }
  const granted = [payload["roles"] ?? [], payload["role"] ?? []].flat();
  const own = roles.filter((role: Role) => granted.includes(role));
  if (tenantId === ALL_TENANTS && !own.includes("ADMIN")) {
    throw new RequestError("FORBIDDEN", "Only an ADMIN token can be for all tenants");
  }
  const subject = typeof sub === "string" ? sub : null;
  const system = tenantId === ALL_TENANTS;
  const expiresAt = exp * 1000 < NO_DATE ? exp * 1000 : Infinity;
  return { tenant: tenantId, roles: own, system, subject, expiresAt, credential };
}

function refusalOf(error: unknown): Error {
  if (error instanceof RequestError) return error;
  if (error instanceof errors.JWTExpired) return unauthenticated("The token has expired");
  const keysMissing =
    !(error instanceof errors.JOSEError) ||
    error instanceof errors.JWKSTimeout ||
    error instanceof errors.JWKSInvalid ||
    error.code === "ERR_JOSE_GENERIC";
  // The keys cannot be had: no fault of the token's.
  if (keysMissing) {
    const message = "The keys that tokens are checked with cannot be fetched";
    return new QueueError("UNAVAILABLE", message, { retryAfterMs: 5000 }, error);
  }
  return unauthenticated("The token is not valid");
}

/** `hint`: where one can be had. */
export function tokenMissing(hint = ""): RequestError {
  return unauthenticated(`A token is needed: Authorization: Bearer <token>${hint}`);
}

function unauthenticated(message: string): RequestError {
  return new RequestError("UNAUTHENTICATED", message, { "WWW-Authenticate": "Bearer" });
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

interface TokenHolder {
  readonly digest: Buffer;
  readonly caller: Caller;
}

function tokenHolder(token: string, subject: string): TokenHolder {
  const own = digest(token);
  return { digest: own, caller: { ...fullAccess, subject, credential: own.toString("base64url") } };
}

/** Takes as long for every token: digests are of one length, and all are compared. */
function holderOf(token: string, holders: readonly TokenHolder[]): Caller | undefined {
  const asked = digest(token);
  let found: Caller | undefined;
  for (const holder of holders) if (timingSafeEqual(holder.digest, asked)) found = holder.caller;
  return found;
}
