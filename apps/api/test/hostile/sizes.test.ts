import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import {
  assertRefused,
  bearer,
  type Call,
  calls,
  fortress,
  parametersOf,
  pathOf,
  tryEach,
} from "./calls.ts";

const patience = 120_000;
const withBody = calls.filter(({ operation }) => operation.request?.body !== undefined);

/** Files are streamed to the disk, however long they are. */
function isStreamed({ operation }: Call): boolean {
  return !("application/json" in (operation.request?.body?.content ?? {}));
}

/** What is answered to a request written by hand, whose body goes on as long as it is read. */
function sendWithoutEnd(
  url: string,
  call: Call,
  headers: Readonly<Record<string, string>>,
  chunk: string,
): Promise<{ readonly answer: string; readonly sent: number }> {
  const { hostname, port } = new URL(url);
  const lines = Object.entries({ Host: "localhost", ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  const method = call.operation.method.toUpperCase();
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`${method} ${pathOf(call)} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
      write();
    });
    let answer = "";
    let sent = 0;
    let over = false;
    const write = (): void => {
      if (over || chunk === "") return;
      sent += chunk.length;
      // As fast as it is taken.
      if (socket.write(chunk)) setImmediate(write);
    };
    socket.on("drain", write);
    const end = (): void => {
      over = true;
      socket.destroy();
      resolve({ answer, sent });
    };
    socket.on("data", (data: Buffer) => {
      answer += data.toString();
      // The head and the whole body, which is one line of JSON.
      if (/\r\n\r\n\{.*\}\n?$/s.test(answer)) end();
    });
    socket.on("close", end);
    socket.on("error", (error) => (answer === "" ? reject(error) : end()));
  });
}

/** Or that what is named does not exist, which needs no body. */
function assertTooLarge(call: Call, answer: string): void {
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  const expected = parametersOf(call).length === 0 ? /^HTTP\/1\.1 413 / : /^HTTP\/1\.1 4(13|04) /;
  expect(head.split("\r\n")[0], `${call.title}: ${answer.slice(0, 600)}`).toMatch(expected);
  assertRefused(call.dialect, JSON.parse(body), call.title);
}

describe.each(engines)("on the %s engine", (engine) => {
  test(
    "a body that is announced as too long is refused before it is read",
    async () => {
      const { url } = await fortress({ engine });
      const headers = { ...(await bearer({ roles: ["ADMIN"] })), "Content-Length": String(5e11) };
      await tryEach(
        withBody.filter((call) => !isStreamed(call)),
        async (call) => {
          const { answer } = await sendWithoutEnd(url, call, headers, "");
          assertTooLarge(call, answer);
        },
      );
    },
    patience,
  );

  test(
    "a body without end is cut off at what its call takes",
    async () => {
      const { url } = await fortress({ engine });
      const headers = { ...(await bearer({ roles: ["ADMIN"] })), "Transfer-Encoding": "chunked" };
      const size = 64 * 1024;
      const chunk = `${size.toString(16)}\r\n${" ".repeat(size)}\r\n`;
      await tryEach(
        withBody.filter((call) => !isStreamed(call)),
        async (call) => {
          const { answer, sent } = await sendWithoutEnd(url, call, headers, chunk);
          assertTooLarge(call, answer);
          // The largest is a batch of texts.
          expect(sent).toBeLessThan(200_000_000);
        },
        2,
      );
    },
    patience,
  );

  test(
    "a body that is too long is not read for who may not send it",
    async () => {
      const { url } = await fortress({ engine });
      const headers = { "Transfer-Encoding": "chunked" };
      const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`;
      await tryEach(withBody, async (call) => {
        const { answer, sent } = await sendWithoutEnd(url, call, headers, chunk);
        expect(answer.split("\r\n")[0], call.title).toBe("HTTP/1.1 401 Unauthorized");
        // Only what was under way.
        expect(sent, call.title).toBeLessThan(20_000_000);
      });
    },
    patience,
  );
});
