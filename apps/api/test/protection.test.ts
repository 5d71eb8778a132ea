import { execFile } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { engines } from "./engines.ts";
import { Begun, exportData, Gate, serve } from "./running-server.ts";

const job = JSON.stringify({ type: "data_export", data: exportData });

/** A connection on which a request is written by hand. */
async function line(url: string): Promise<{ socket: Socket; closed: Promise<string> }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  // A connection that is cut is closed too.
  socket.on("error", () => undefined);
  const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(text)));
  await once(socket, "connect");
  return { socket, closed };
}

function head(length: string): string {
  return `POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${length}\r\n\r\n`;
}

describe.each(engines)("a stop on the %s engine", (engine) => {
  test("lets a request that is being sent be finished, and answers who waits", async () => {
    const begun = new Begun();
    const { url, add, call, server } = await serve({ engine, handlers: [], log: begun.log });
    const id = await add(JSON.parse(job) as object);
    const waiting = call("POST", `/api/v1/jobs/${id}/wait`, { timeout: 60_000 });
    await begun.request("/wait");
    // The connection's keep-alive would hold the answer's end back.
    const upload = request(`${url}/api/v1/jobs?upload`, { method: "POST", agent: false });
    upload.write(job.slice(0, 20));
    await begun.request("/api/v1/jobs", 2);
    const answered = once(upload, "response");
    const closed = server.close(30_000);
    const late = await waiting;
    expect([late.status, late.body.details.code]).toEqual([408, "JOB_TIMEOUT"]);
    // Longer than answers take that are complete but for being sent.
    await sleep(2500);
    upload.end(job.slice(20));
    const [{ statusCode }] = (await answered) as [{ statusCode: number }];
    expect(statusCode).toBe(201);
    await closed;
  });

  test("ends within the grace time, whoever holds on", async () => {
    const gate = new Gate();
    const begun = new Begun();
    const { url, add, server } = await serve({ engine, handlers: [gate.handler], log: begun.log });
    await add(JSON.parse(job) as object);
    await gate.run();
    const { socket, closed } = await line(url);
    socket.write(head("Content-Length: 1000"));
    await begun.request("/api/v1/jobs", 2);
    const began = performance.now();
    await server.close(500);
    expect(performance.now() - began).toBeLessThan(8000);
    expect(await closed).toBe("");
  });
});

test.each([
  ["a length that is never reached", `${head("Content-Length: 5000")}${job}`],
  ["a chunk that breaks off", `${head("Transfer-Encoding: chunked")}ff\r\n{"type"`],
])("%s adds nothing", async (_, text) => {
  const { url, call } = await serve({ handlers: [] });
  const { socket, closed } = await line(url);
  socket.end(text);
  expect(await closed).not.toContain(" 201 ");
  expect((await call("GET", "/api/v1/jobs")).body.data.total).toBe(0);
});

test.each([
  ["a length shorter than the body", `${head("Content-Length: 10")}${job}`],
  ["two lengths", `${head("Content-Length: 5\r\nContent-Length: 7")}${job}`],
  ["a length beside chunks", `${head("Content-Length: 5\r\nTransfer-Encoding: chunked")}0\r\n\r\n`],
  ["a negative length", `${head("Content-Length: -1")}${job}`],
  ["a chunk's size that is none", `${head("Transfer-Encoding: chunked")}zz\r\n{}\r\n0\r\n\r\n`],
  [
    "a second host",
    `${head(`Host: elsewhere.example\r\nConnection: close\r\nContent-Length: ${job.length}`)}${job}`,
  ],
  ["no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  [
    "headers without end",
    `GET /health HTTP/1.1\r\n${"X-Filler: 0123456789abcdef\r\n".repeat(2000)}`,
  ],
])("%s is refused, and the server goes on", async (_, text) => {
  const { url, call } = await serve({ handlers: [] });
  const { socket, closed } = await line(url);
  socket.write(text);
  expect(await closed).toMatch(/^HTTP\/1\.1 4\d\d /);
  expect((await call("GET", "/api/v1/jobs")).body.data.total).toBe(0);
});

test("requests that come at once on a connection are answered in their order, the refused ones among them", async () => {
  const { url } = await serve({ handlers: [] });
  const { socket, closed } = await line(url);
  const sent = (length: number, body: string) => `${head(`Content-Length: ${length}`)}${body}`;
  socket.write(
    [
      sent(job.length, job),
      sent(10, "0123456789"),
      sent(9, '{"type":1').replace("Host: localhost", "Host: local host"),
      sent(2, "{}").replace("/jobs", "/nothing"),
      "GET /api/v1/jobs?limit=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ].join(""),
  );
  const statuses = [...(await closed).matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
  expect(statuses).toEqual(["201", "400", "400", "404", "200"]);
});

test("who offers HTTP/2 with a request is answered in HTTP/1.1", async () => {
  const { url } = await serve({ handlers: [] });
  const { socket, closed } = await line(url);
  const offer = `Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__`;
  socket.write(`${head(`Content-Length: ${job.length}\r\n${offer}`)}${job}`);
  expect(await closed).toMatch(/^HTTP\/1\.1 201 .*"jobId":/s);
});

test("where there is no WebSocket, who asks for one is answered by the dialect", async () => {
  const { url } = await serve({ handlers: [] });
  const { socket, closed } = await line(url);
  const ask = "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
  const key = "Sec-WebSocket-Key: a2V5IG9mIHNpeHRlZW4gYg==";
  socket.write(`GET /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\n${ask}\r\n${key}\r\n\r\n`);
  expect(await closed).toMatch(/^HTTP\/1\.1 404 .*"details":\{"code":"NOT_FOUND"\}/s);
});

test("who holds on to connections without using them loses them, others are served meanwhile", async () => {
  const { url, call } = await serve({ handlers: [] });
  const slow = await Promise.all(Array.from({ length: 50 }, () => line(url)));
  for (const { socket } of slow) socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\nX-");
  expect((await call("GET", "/health")).status).toBe(200);
  const answers = await Promise.all(slow.map(({ closed }) => closed));
  expect(new Set(answers.map((text) => text.split("\r\n")[0]))).toEqual(
    new Set(["HTTP/1.1 408 Request Timeout"]),
  );
  expect((await call("GET", "/health")).status).toBe(200);
});

test.each(["two words", "x".repeat(256), "a\tb", "<script>"])(
  "a request id that is none, %j, is not repeated",
  async (id) => {
    const { call } = await serve({ handlers: [] });
    const { headers } = await call("GET", "/health", undefined, { "X-Request-Id": id });
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  },
);

test("secrets are hidden wherever they stand in what is logged", async () => {
  const program = `
    import { createLogger } from "@jobyard/core/process";
    const secret = "hunter2";
    createLogger("info", false).info({
      authorization: secret, req: { headers: { authorization: secret, cookie: secret } },
      config: { jwtSecret: secret, apiTokens: [secret], smtp: { password: secret } }, token: secret, kept: "seen",
    }, "with secrets");`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--conditions=@jobyard/source", "--input-type=module", "--eval", program],
    { cwd: join(import.meta.dirname, "..") },
  );
  expect(stdout).toContain('"kept":"seen"');
  expect(stdout).toContain("[hidden]");
  expect(stdout).not.toContain("hunter2");
});
