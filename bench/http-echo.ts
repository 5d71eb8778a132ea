/** What HTTP costs with nothing behind it: the body is parsed and sent back. Prints its address. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";

const app = new Hono().post("/", async (c) => c.json(await c.req.json()));
const onRequest = getRequestListener(app.fetch);
const server = createServer((request, response) => void onRequest(request, response));
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ urls: [`http://127.0.0.1:${port}`] }));
});
