import { readFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Readable } from "node:stream";
import PostalMime, { type Email } from "postal-mime";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { emailNotificationsHandler } from "../../src/email-notifications/handler.ts";
import type { HandlerDeps } from "../../src/handler-deps.ts";
import type { Storage } from "../../src/storage.ts";
import { expectFailure, newStorage, runHandler, TENANT } from "../run-handler.ts";

interface Received {
  readonly email: Email;
  readonly raw: string;
  readonly recipients: string[];
  readonly secure: boolean;
}

let files: Storage;
let received: Received[];
const closing: (() => Promise<void>)[] = [];

beforeEach(async () => {
  files = await newStorage();
  received = [];
});

afterEach(async () => {
  await files.close();
  for (const close of closing.splice(0)) await close();
});

async function mailServer(
  options: SMTPServerOptions = {},
): Promise<NonNullable<HandlerDeps["smtp"]>> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: options.key === undefined ? ["STARTTLS", "AUTH"] : [],
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        const raw = Buffer.concat(chunks);
        void PostalMime.parse(raw).then((email) => {
          const recipients = session.envelope.rcptTo.map(({ address }) => address);
          received.push({ email, raw: raw.toString("latin1"), recipients, secure: session.secure });
          done();
        });
      });
    },
    ...options,
  });
  server.on("error", () => undefined);
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closing.push(() => new Promise((resolve) => server.close(() => resolve())));
  const { port } = server.server.address() as AddressInfo;
  return { host: "127.0.0.1", port, user: null, pass: null, from: "Shop <shop@example.com>" };
}

/** Its port. */
async function socketServer(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
    onSocket(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

const refusal = (message: string, responseCode: number) =>
  Object.assign(new Error(message), { responseCode });

const quoteReady = {
  type: "quote-ready",
  recipientEmail: "customer@example.com",
  recipientName: "Ana",
  templateData: {
    quoteNumber: "Q-123",
    total: 1234.5,
    currency: "USD",
    quoteUrl: "https://example.com/q/123",
  },
};

describe("what a message says", () => {
  it.each([
    ["quote-ready", "en", "Your quote Q-123 is ready", "View the quote"],
    ["quote-accepted", "en", "Quote Q-123 accepted", "View the order"],
    ["quote-expired", "en", "Quote Q-123 has expired", "Ask for a new quote"],
    ["order-shipped", "en", "Your order Q-123 has shipped", "Track the parcel"],
    ["quote-ready", "es", "Su cotización Q-123 está lista", "Ver la cotización"],
    ["quote-accepted", "es", "Cotización Q-123 aceptada", "Ver el pedido"],
    ["quote-expired", "es", "La cotización Q-123 ha vencido", "Solicitar una nueva cotización"],
    ["order-shipped", "es", "Su pedido Q-123 ha sido enviado", "Rastrear el paquete"],
  ])("%s in %s", async (type, language, subject, action) => {
    const handler = emailNotificationsHandler({ files, smtp: await mailServer() });
    const templateData = {
      quoteNumber: "Q-123",
      orderNumber: "Q-123",
      url: "https://example.com/x?a=1&b=2",
      total: 10,
      validUntil: "2026-01-31",
    };
    await runHandler(handler, { ...quoteReady, type, templateData, language });
    const [{ email } = expect.fail()] = received;
    expect(email.subject).toBe(subject);
    expect(email.html).toContain(`lang="${language}"`);
    expect(email.html).toContain('href="https://example.com/x?a=1&amp;b=2"');
    expect(email.text).toContain(`${action}: https://example.com/x?a=1&b=2`);
    expect(email.text).toContain(language === "es" ? "31 de enero de 2026" : "January 31, 2026");
  });

  it.each([
    [{ alertType: "high_water_cut" }, "Alert: High water cut"],
    [{ reminderType: "form_pr_due", language: "es" }, "Recordatorio: Form pr due"],
    [{ notificationType: "job-failed" }, "Notification: Job failed"],
    [{ emailType: "weekly_digest" }, "Weekly digest"],
    [{ message: "Hello" }, "Notification"],
    [{ alertType: "x", subject: "My own" }, "My own"],
  ])("a notification %j", async (fields, subject) => {
    const handler = emailNotificationsHandler({ files, smtp: await mailServer() });
    const data = { recipientEmails: ["a@example.com", "b@example.com", "A@example.com"] };
    const { result } = await runHandler(handler, {
      ...data,
      message: "One.\n\nTwo.",
      ...fields,
      templateData: {
        wells: [
          { wellId: "W-1", oil: 5 },
          { wellId: "W-2", oil: 6 },
        ],
      },
    });
    expect(result["sentTo"]).toHaveLength(2);
    const [{ email } = expect.fail()] = received;
    expect(email.subject).toBe(subject);
    expect(email.html).toContain("W-2");
    expect(email.text).toContain("W-2");
  });

  it("escapes values in HTML, and links web addresses only", async () => {
    const handler = emailNotificationsHandler({ files, smtp: await mailServer() });
    const evil = `<script>alert("x")</script><img src=x onerror='y'>&`;
    await runHandler(handler, {
      ...quoteReady,
      recipientName: evil,
      message: evil,
      templateData: {
        quoteNumber: evil,
        quoteUrl: "javascript:alert(1)",
        [evil]: evil,
        items: [{ [evil]: evil }],
      },
    });
    const [{ email } = expect.fail()] = received;
    expect(email.html).not.toMatch(/<script|<img|href="javascript/i);
    expect(email.html).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;");
  });
});

describe("header injection", () => {
  it("turns line ends in the subject, names and types into spaces", async () => {
    const handler = emailNotificationsHandler({ files, smtp: await mailServer() });
    const injection = "x\r\nBcc: victim@example.com\r\n\r\nbody";
    const { result } = await runHandler(handler, {
      ...quoteReady,
      recipientName: injection,
      subject: injection,
      templateData: { quoteNumber: injection },
      attachments: [
        { filename: `a${injection}.txt`, contentType: `text/plain${injection}`, content: "x" },
      ],
    });
    expect(result["sentTo"]).toEqual(["customer@example.com"]);
    const [{ email, raw, recipients } = expect.fail()] = received;
    expect(recipients).toEqual(["customer@example.com"]);
    expect(raw.split("\r\n\r\n")[0]).not.toMatch(/^bcc:/im);
    expect(email.subject).toBe("x Bcc: victim@example.com body");
  });

  it.each([
    "a@example.com\r\nBcc: b@example.com",
    "a@example.com, b@example.com",
    "<a@example.com>",
  ])("refuses the address %j", (recipientEmail) => {
    const { type } = emailNotificationsHandler({ files });
    expect(type.data.safeParse({ ...quoteReady, recipientEmail }).success).toBe(false);
  });
});

describe("attachments", () => {
  it("attaches text, base64, bytes, the tenant's files and another job's result", async () => {
    const tenant = files.of(TENANT);
    await tenant.put("docs/a.pdf", Readable.from([Buffer.from("%PDF-")]), { maxBytes: 100 });
    const { writeFile } = await import("node:fs/promises");
    await tenant.writeResult(77, "report.csv", (path) => writeFile(path, "a,b\r\n"));
    const handler = emailNotificationsHandler({ files, smtp: await mailServer() });
    await runHandler(handler, {
      ...quoteReady,
      attachments: [
        { filename: "t.txt", content: "größe" },
        { filename: "b.bin", content: "AAEC/w==", encoding: "base64" },
        { filename: "n.bin", content: { type: "Buffer", data: [1, 2, 3] } },
        { filename: "../../a.pdf", filePath: "docs/a.pdf" },
        { filename: "u.pdf", fileUrl: "file:///docs/a.pdf", contentType: "application/pdf" },
        { filename: "r.csv", resultOf: { jobId: 77, name: "report.csv" } },
      ],
    });
    const [{ email } = expect.fail()] = received;
    const got = email.attachments.map(({ filename, content }) => [
      filename,
      Buffer.from(content as ArrayBuffer).toString("latin1"),
    ]);
    expect(got).toEqual([
      ["t.txt", Buffer.from("größe").toString("latin1")],
      ["b.bin", "\x00\x01\x02\xff"],
      ["n.bin", "\x01\x02\x03"],
      ["a.pdf", "%PDF-"],
      ["u.pdf", "%PDF-"],
      ["r.csv", "a,b\r\n"],
    ]);
  });

  it.each([
    [{ filename: "x", filePath: "none.pdf" }, "FILE_NOT_FOUND"],
    [{ filename: "x", filePath: ".jobyard/results/1/x" }, "FILE_REFUSED"],
    [{ filename: "x", resultOf: { jobId: 9, name: "x" } }, "FILE_NOT_FOUND"],
    [{ filename: "x", content: "%%%", encoding: "base64" }, "INVALID_ATTACHMENT"],
  ])("fails at once on %j", async (attachment, code) => {
    const handler = emailNotificationsHandler({ files, smtp: await mailServer() });
    const run = runHandler(handler, { ...quoteReady, attachments: [attachment] });
    await expectFailure(run, { code, dataFault: true });
    expect(received).toEqual([]);
  });

  it("refuses more than 25 MB together", async () => {
    const handler = emailNotificationsHandler({ files });
    const bytes = Readable.from([Buffer.alloc(26_000_000)]);
    await files.of(TENANT).put("big.bin", bytes, { maxBytes: 30_000_000 });
    const attachments = [{ filename: "x", filePath: "big.bin" }];
    const run = runHandler(handler, { ...quoteReady, attachments });
    await expectFailure(run, { code: "FILE_TOO_LARGE", dataFault: true });
  });
});

describe("the mail server", () => {
  it("tells accepted and refused recipients apart", async () => {
    const smtp = await mailServer({
      onRcptTo: ({ address }, _session, done) =>
        done(address.startsWith("no") ? refusal("No such user", 550) : null),
    });
    const handler = emailNotificationsHandler({ files, smtp });
    const { result, lines } = await runHandler(handler, {
      recipientEmails: ["yes@example.com", "no@example.com"],
      message: "Hi",
    });
    expect(result).toMatchObject({
      messageId: "<job-1.acme@example.com>",
      sentTo: ["yes@example.com"],
      failedRecipients: ["no@example.com"],
      delivery: "smtp",
    });
    expect(lines.join()).toContain("no@example.com was refused");
    expect(received[0]?.recipients).toEqual(["yes@example.com"]);
  });

  it.each([
    [550, { code: "RECIPIENTS_REFUSED", dataFault: true }],
    [451, { code: "TEMPORARY_FAILURE", dataFault: false }],
  ])("that refuses everybody with %i", async (status, expected) => {
    const smtp = await mailServer({
      onRcptTo: (_address, _session, done) => done(refusal("Not now", status)),
    });
    const run = runHandler(emailNotificationsHandler({ files, smtp }), quoteReady);
    await expectFailure(run, expected);
  });

  it.each([
    [554, { code: "MESSAGE_REFUSED", dataFault: true }],
    [452, { code: "TEMPORARY_FAILURE", dataFault: false }],
  ])("that refuses the message with %i", async (status, expected) => {
    const smtp = await mailServer({
      onData: (stream, _session, done) => {
        stream.resume();
        stream.on("end", () => done(refusal("No", status)));
      },
    });
    const run = runHandler(emailNotificationsHandler({ files, smtp }), quoteReady);
    await expectFailure(run, expected);
  });

  it("that is dead is tried again", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const smtp = { host: "127.0.0.1", port, user: null, pass: null, from: null };
    const run = runHandler(emailNotificationsHandler({ files, smtp }), quoteReady);
    await expectFailure(run, { code: "NETWORK_ERROR", dataFault: false });
  });

  it("that hangs up in the middle is tried again", async () => {
    const port = await socketServer((socket) => socket.end("220 hello\r\n"));
    const smtp = { host: "127.0.0.1", port, user: null, pass: null, from: null };
    const run = runHandler(emailNotificationsHandler({ files, smtp }), quoteReady);
    await expectFailure(run, { code: "NETWORK_ERROR", dataFault: false });
  });

  it("a cancelled job stops waiting for a silent server", async () => {
    const port = await socketServer(() => undefined);
    const smtp = { host: "127.0.0.1", port, user: null, pass: null, from: null };
    const abort = new AbortController();
    const options = { signal: abort.signal };
    const run = runHandler(emailNotificationsHandler({ files, smtp }), quoteReady, options);
    setTimeout(() => abort.abort(new Error("cancelled")), 50);
    await expect(run).rejects.toThrow("cancelled");
  });
});

describe("TLS", () => {
  const pem = (name: string) =>
    readFile(new URL(`./localhost.${name}.pem`, import.meta.url), "utf8");

  it("is used where the server offers it, the password only over it", async () => {
    const [key, cert] = [await pem("key"), await pem("cert")];
    const logins: unknown[] = [];
    const smtp = await mailServer({
      key,
      cert,
      onAuth({ username, password }, session, done) {
        logins.push([username, password, session.secure]);
        done(null, { user: username });
      },
    });
    const account = { ...smtp, host: "localhost", user: "me", pass: "secret" };
    const handler = emailNotificationsHandler({ files, smtp: account }, { ca: cert });
    await runHandler(handler, quoteReady);
    expect(received[0]?.secure).toBe(true);
    expect(logins).toEqual([["me", "secret", true]]);
  });

  it("is not used with a certificate that nobody vouches for", async () => {
    const smtp = await mailServer({ key: await pem("key"), cert: await pem("cert") });
    const run = runHandler(emailNotificationsHandler({ files, smtp }), quoteReady);
    await expectFailure(run, { code: "NETWORK_ERROR", dataFault: false });
    expect(received).toEqual([]);
  });

  it("a wrong password is told, and tried again later", async () => {
    const smtp = await mailServer({
      key: await pem("key"),
      cert: await pem("cert"),
      onAuth: (_auth, _session, done) => done(new Error("Wrong password")),
    });
    const account = { ...smtp, user: "me", pass: "secret" };
    const handler = emailNotificationsHandler({ files, smtp: account }, { ca: await pem("cert") });
    const error = await expectFailure(runHandler(handler, quoteReady), {
      code: "TEMPORARY_FAILURE",
      dataFault: false,
    });
    expect(error.message).not.toContain("secret");
  });
});

it("writes the message as a file where no server is configured, and says so", async () => {
  const { result, lines } = await runHandler(emailNotificationsHandler({ files }), quoteReady, {
    jobId: 5,
  });
  expect(result).toMatchObject({
    messageId: "<job-5.acme@localhost>",
    sentTo: [],
    failedRecipients: [],
    delivery: "file",
    file: { name: "message.eml", contentType: "message/rfc822" },
  });
  expect(result["note"]).toContain("sent to nobody");
  expect(lines).toEqual([result["note"]]);
  const email = await PostalMime.parse(
    await readFile(files.of(TENANT).resultPath(5, "message.eml")),
  );
  expect(email.to).toEqual([{ address: "customer@example.com", name: "Ana" }]);
  expect(email.text).toContain("$1,234.50");
});
