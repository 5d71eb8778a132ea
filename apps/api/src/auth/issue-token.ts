import { type Config, ConfigError } from "@jobyard/core";
import { SignJWT } from "jose";
import type { Role } from "./caller.ts";
import { developmentSecret } from "./open-mode.ts";

export interface TokenWish {
  readonly role: Role;
  /** `*`: all of them. */
  readonly tenant: string;
  readonly subject: string;
  readonly lifetimeMs: number;
}

/**
 * A token for the servers that run with these settings: signed with `JWT_SECRET`, or, where no token is configured, with the
 * secret in `DATA_DIR`; whoever can read that folder could sign one anyway.
 * @throws ConfigError where tokens come from elsewhere
 */
export async function issueToken(
  { auth, engine }: Pick<Config, "auth" | "engine">,
  { role, tenant, subject, lifetimeMs }: TokenWish,
): Promise<string> {
  const secret = auth.jwtSecret ?? (auth.open ? await developmentSecret(engine.dataDir) : null);
  if (secret === null) {
    const variable = auth.jwksUrl === null ? "API_TOKENS" : "JWKS_URL";
    const message =
      "is set and JWT_SECRET is not: use one of API_TOKENS, or a token of whoever holds the keys of JWKS_URL";
    throw new ConfigError([{ variable, message }]);
  }
  const now = Math.floor(Date.now() / 1000);
  const token = new SignJWT({ sub: subject, roles: [role], tenantId: tenant })
    .setProtectedHeader({ alg: auth.jwtAlgorithms?.[0] ?? "HS256" })
    .setIssuedAt(now)
    .setExpirationTime(now + Math.ceil(lifetimeMs / 1000));
  if (auth.jwtIssuer !== null) token.setIssuer(auth.jwtIssuer);
  if (auth.jwtAudience !== null) token.setAudience(auth.jwtAudience);
  return token.sign(new TextEncoder().encode(secret));
}
