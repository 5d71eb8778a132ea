import { parseConfig } from "@jobyard/core";
import { SignJWT } from "jose";
import { developmentSecret } from "./auth/open-mode.ts";

/*
 * `pnpm -s dev-token [role] [tenant]` prints a token for the server that runs on this machine without configured tokens, in
 * the same DATA_DIR. Its secret is that folder's, so whoever can read the folder could sign one anyway.
 */

const LIFETIME = "30d";

const [role = "ADMIN", tenantId = "default"] = process.argv.slice(2);
const { auth, engine } = parseConfig(process.env);
if (auth.open) {
  const secret = await developmentSecret(engine.dataDir);
  const token = await new SignJWT({ sub: "developer", roles: [role], tenantId })
    .setProtectedHeader({ alg: auth.jwtAlgorithms?.[0] ?? "HS256" })
    .setIssuedAt()
    .setExpirationTime(LIFETIME)
    .sign(new TextEncoder().encode(secret));
  process.stdout.write(`${token}\n`);
} else {
  process.stderr.write(
    "JWT_SECRET, JWKS_URL or API_TOKENS is set: development tokens are for servers without them.\n" +
      "Use one of API_TOKENS, or a token of whoever signs yours.\n",
  );
  process.exitCode = 1;
}
