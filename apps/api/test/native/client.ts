import { type JWTPayload, SignJWT } from "jose";
import { serve, type Setup } from "../running-server.ts";

const secret = "native-to-the-yard-and-nowhere-else-at-all";

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** Whatever an answer can hold; which of it, the test knows. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as it says
  readonly body: any;
}

/** As somebody, under `/api/native`; answers are held against the document. */
export type Call = (method: string, path: string, body?: unknown) => Promise<Reply>;

export interface Native {
  /** Of `/api/native`. */
  readonly url: string;
  /** For another server on the same store. */
  readonly env: Readonly<Record<string, string>>;
  readonly call: Call;
  /** `data` of an answer that has to be a good one. */
  // oxlint-disable-next-line typescript/no-explicit-any -- as above
  readonly data: (method: string, path: string, body?: unknown) => Promise<any>;
  readonly add: (job: object) => Promise<string>;
  /** Claims jobs of a queue, which has to have them. */
  readonly pull: (queue: string, limit?: number, worker?: string) => Promise<readonly Claimed[]>;
  readonly close: () => Promise<void>;
}

export interface Claimed {
  readonly id: string;
  readonly lease: string;
  readonly data: unknown;
}

export function token(claims: JWTPayload = {}, expires: string | number = "10m"): Promise<string> {
  return new SignJWT({ sub: "noor", roles: ["ADMIN"], ...claims })
    .setProtectedHeader({ alg: "HS256" })
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(secret));
}

/** An open server, without anybody who runs jobs. */
export async function native(setup: Setup = {}): Promise<Native> {
  const { url, env, call, server } = await serve({ handlers: [], ...setup });
  const base = `${url}/api/native`;
  return { url: base, env, ...facesOf((...asked) => call(...asked)), close: () => server.close() };
}

/** A server that asks for tokens, and who calls it with which. */
export async function guarded(
  setup: Setup = {},
): Promise<{ readonly url: string; readonly as: (claims: JWTPayload) => Promise<Native> }> {
  const { url, env, call, server } = await serve({
    handlers: [],
    ...setup,
    env: { JWT_SECRET: secret, ...setup.env },
  });
  const base = `${url}/api/native`;
  return {
    url: base,
    async as(claims) {
      const Authorization = `Bearer ${await token(claims)}`;
      const faces = facesOf((method, path, body) => call(method, path, body, { Authorization }));
      return { url: base, env, ...faces, close: () => server.close() };
    },
  };
}

function facesOf(anywhere: Call): Pick<Native, "call" | "data" | "add" | "pull"> {
  const call: Call = (method, path, body) => anywhere(method, `/api/native${path}`, body);
  const data: Native["data"] = async (method, path, body) => {
    const reply = await call(method, path, body);
    if (reply.status < 300) return reply.body.data;
    throw new Error(`${method} ${path} was refused: ${JSON.stringify(reply.body)}`);
  };
  return {
    call,
    data,
    add: async (job) => (await data("POST", "/jobs", job)).id as string,
    async pull(queue, limit = 1, worker) {
      const { items } = await data("POST", "/work/pull", { queues: [queue], limit, worker });
      if (items.length === 0) throw new Error(`${queue} has no job`);
      return items as readonly Claimed[];
    },
  };
}

/** What a refusal looks like. */
export function refusal(status: number, code: string, details: object = {}) {
  return {
    status,
    body: { success: false, details: { code, ...details } },
  };
}
