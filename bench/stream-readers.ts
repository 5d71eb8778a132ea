/** Reads events over many connections and counts them. Usage: node stream-readers.ts <url> <connections> */
import { connect, type Socket } from "node:net";

const [url = "", connections = "1"] = process.argv.slice(2);
const { hostname, port, pathname } = new URL(url);
const upgrade = pathname.startsWith("/ws")
  ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
  : "";
/** Once in each event, whatever it travels in. */
const EVENT = Buffer.from('"event_type"');
let count = 0;

/** Cheaper than a client of the protocol, which would share the machine with the server that is measured. */
async function read(): Promise<Socket> {
  const socket = connect(Number(port), hostname);
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n${upgrade}\r\n`);
  let end: Buffer = Buffer.alloc(0);
  await new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      resolve();
      // An event may lie across two chunks.
      const bytes = end.length === 0 ? chunk : Buffer.concat([end, chunk]);
      let from = 0;
      for (let at = bytes.indexOf(EVENT); at !== -1; at = bytes.indexOf(EVENT, from)) {
        count++;
        from = at + EVENT.length;
      }
      end = bytes.subarray(Math.max(from, bytes.length - EVENT.length + 1));
    });
  });
  return socket;
}

await Promise.all(Array.from({ length: Number(connections) }, read));
process.on("message", () => process.send?.(count));
process.send?.("connected");
