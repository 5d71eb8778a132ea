import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "@jobyard/core";
import { createLogger } from "@jobyard/core/process";
import { Jobyard } from "@jobyard/sdk";
import { type JWTPayload, SignJWT } from "jose";
import { emptyEngine, type EngineName } from "../../api/test/engines.ts";
import { type RunningServer, startServer } from "../../api/src/server.ts";

const secret = "who-looks-at-the-yard-has-to-say-who-it-is";

export type Client = Jobyard<object>;

/** A running server for all screens. */
export interface Yard {
  readonly url: string;
  /** Its DATA_DIR. */
  readonly folder: string;
  client(claims?: JWTPayload): Promise<Client>;
  /** Takes the server away and brings it back on the same port and store. */
  restart(meanwhile: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

export function tokenOf(claims: JWTPayload = {}): Promise<string> {
  const exp = Math.ceil(Date.now() / 1000) + 3600;
  return new SignJWT({ sub: "noor", roles: ["ADMIN"], exp, ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(secret));
}

export async function startYard(
  engine: EngineName,
  settings: Record<string, string> = { JWT_SECRET: secret },
): Promise<Yard> {
  const folder = await mkdtemp(join(tmpdir(), "jobyard-console-test-"));
  const env = {
    HTTP_PORTS: "0",
    TCP_PORT: "0",
    GRPC_PORT: "0",
    SHUTDOWN_GRACE_MS: "0",
    WEBHOOK_ALLOW_PRIVATE: "true",
    DATA_DIR: folder,
    ...(await emptyEngine(engine)),
    ...settings,
  };
  const start = (more: Record<string, string> = {}): Promise<RunningServer> =>
    startServer({
      config: parseConfig({ ...env, ...more }),
      log: createLogger("silent", false),
      // What a delivery meets is known after one attempt.
      webhookRetry: { attempts: 1, backoffMs: 1 },
    });
  let server = await start();
  const url = server.urls[0] as string;
  return {
    url,
    folder,
    client: async (claims) => new Jobyard<object>({ baseURL: url, token: await tokenOf(claims) }),
    async restart(meanwhile) {
      await server.close();
      await meanwhile();
      server = await start({ HTTP_PORTS: new URL(url).port });
    },
    async stop() {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
