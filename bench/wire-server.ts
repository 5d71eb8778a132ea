/** The server process. Usage: node wire-server.ts embedded <folder> | redis <redis port> | echo */
import { fileURLToPath } from "node:url";
import {
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { parseConfig } from "@jobyard/core";
import { createLogger } from "@jobyard/core/process";
import { authenticator } from "../apps/api/src/auth/authenticate.ts";
import { startGrpc } from "../apps/api/src/transports/grpc/server.ts";
import { startTcp } from "../apps/api/src/transports/tcp/server.ts";
import { payload } from "./measure.ts";
import { openQueue } from "./wire-queue.ts";

/** As the client takes them. */
export interface Addresses {
  readonly tcp: string;
  readonly grpc: string;
}

const [engine = "", place = ""] = process.argv.slice(2);
const addresses = engine === "echo" ? await echo() : await serve();
console.log(JSON.stringify(addresses));

async function serve(): Promise<Addresses> {
  const queue = await openQueue(engine, place);
  const { auth, limits } = parseConfig({});
  const authenticate = authenticator(auth, "a secret that nobody needs to know");
  const shared = {
    queue,
    authenticate,
    log: createLogger("error", false),
    host: "127.0.0.1",
    port: 0,
  };
  const tcp = await startTcp({
    ...shared,
    anonymous: await authenticate(undefined),
    socket: null,
    maxLineBytes: limits.maxBatchBytes,
    maxConnections: limits.connections,
  });
  const grpc = await startGrpc({
    ...shared,
    maxMessageBytes: limits.maxBatchBytes,
    maxConnections: limits.grpcConnections,
  });
  const portOf = (url = ""): string => url.slice(url.lastIndexOf(":") + 1);
  return { tcp: portOf(tcp.urls[0]), grpc: `127.0.0.1:${portOf(grpc.urls[0])}` };
}

/** What grpc-js takes for messages of the same kind when nothing is done with them. */
async function echo(): Promise<Addresses> {
  const proto = fileURLToPath(new URL("../apps/api/proto/flashq.proto", import.meta.url));
  const definition = loadSync(proto, {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  const server = new Server({ "grpc.enable_channelz": 0 });
  const job = {
    queue: "bench",
    data: Buffer.from(JSON.stringify(payload)),
    created_at: Date.now(),
    run_at: Date.now(),
    started_at: Date.now(),
    attempts: 1,
    max_attempts: 1,
    backoff: 1000,
    depends_on: [],
  };
  let id = 0;
  server.addService(definition["flashq.QueueService"] as ServiceDefinition, {
    Push: (_: ServerUnaryCall<object, object>, respond: sendUnaryData<object>) =>
      respond(null, { ok: true, id: ++id }),
    PushBatch: (_: ServerUnaryCall<object, object>, respond: sendUnaryData<object>) =>
      respond(null, { ok: true, ids: [] }),
    ProcessJobs: (call: ServerDuplexStream<object, object>) => {
      const window = Number(call.metadata.get("prefetch")[0]);
      for (let i = 0; i < window; i++) call.write({ ...job, id: ++id });
      call.on("data", () => call.write({ ...job, id: ++id }));
      call.on("end", () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
  return { tcp: "", grpc: `127.0.0.1:${port}` };
}
