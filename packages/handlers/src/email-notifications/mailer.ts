import { writeFile } from "node:fs/promises";
import { type Config, HandlerError, isLoopbackHost } from "@jobyard/core";
import { createTransport } from "nodemailer";
import { oneLine } from "./templates.ts";

export type SmtpSettings = NonNullable<Config["smtp"]>;

export interface Message {
  readonly to: readonly string[];
  /** Shown beside the address where there is a single recipient. */
  readonly toName: string | null;
  readonly subject: string;
  readonly html: string;
  readonly text: string;
  readonly attachments: readonly Attachment[];
  /** The same for every attempt, so that a message that arrives twice can be told from two messages. */
  readonly messageId: string;
}

export interface Attachment {
  readonly filename: string;
  readonly contentType?: string;
  readonly content?: Buffer;
  /** On this machine's disk. */
  readonly path?: string;
}

export interface Sent {
  readonly messageId: string;
  readonly sentTo: string[];
  readonly failedRecipients: string[];
  /** Why each of `failedRecipients` was refused. */
  readonly refusals: { readonly recipient: string; readonly reason: string }[];
}

export interface MailerOptions {
  /** PEM certificates that the server's may be signed with, in place of the system's. */
  readonly ca?: string;
}

/** A mail server that says nothing for so long is taken for gone; a job has 30 s. */
const CONNECT_TIMEOUT_MS = 8_000;
const SILENCE_TIMEOUT_MS = 15_000;
const NO_SERVER_FROM = "jobyard@localhost";

/** Who messages come from: SMTP_FROM, else SMTP_USER where that is an address. */
export function senderOf(smtp: SmtpSettings | null): string {
  if (smtp?.from != null) return smtp.from;
  if (smtp?.user?.includes("@") === true) return smtp.user;
  return smtp === null ? NO_SERVER_FROM : `jobyard@${smtp.host}`;
}

/**
 * Sends a message to the configured server: TLS from the start on port 465, STARTTLS elsewhere where the
 * server offers it; a password goes over TLS only, except to this machine itself.
 *
 * @throws HandlerError `NETWORK_ERROR`, `TEMPORARY_FAILURE`, or a fault of the data: `RECIPIENTS_REFUSED`,
 *   `MESSAGE_REFUSED`
 */
export async function send(
  smtp: SmtpSettings,
  message: Message,
  signal: AbortSignal,
  { ca }: MailerOptions = {},
): Promise<Sent> {
  const { host, port, user, pass } = smtp;
  const transport = createTransport({
    host,
    port,
    secure: port === 465,
    requireTLS: user !== null && !isLoopbackHost(host),
    ...(user !== null && { auth: { user, pass: pass ?? "" } }),
    ...(ca !== undefined && { tls: { ca } }),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
  });
  try {
    const info = await transport.sendMail({ ...fieldsOf(message, senderOf(smtp)), signal });
    const reasons = new Map(
      (info.rejectedErrors ?? []).map((error) => [error.recipient, oneLine(error.message)]),
    );
    return {
      messageId: info.messageId,
      sentTo: [...info.accepted],
      failedRecipients: [...info.rejected],
      refusals: info.rejected.map((recipient) => ({
        recipient,
        reason: reasons.get(recipient) ?? "refused",
      })),
    };
  } catch (error) {
    signal.throwIfAborted();
    throw mailError(error);
  } finally {
    transport.close();
  }
}

/** Writes the message as it would have been sent (RFC 822 with CRLF line ends). */
export async function writeMessage(
  message: Message,
  path: string,
  from = NO_SERVER_FROM,
): Promise<void> {
  const transport = createTransport({ streamTransport: true, buffer: true, newline: "windows" });
  const { message: bytes } = await transport.sendMail(fieldsOf(message, from));
  if (!Buffer.isBuffer(bytes)) throw new TypeError("The message came as a stream");
  await writeFile(path, bytes, { mode: 0o600 });
}

function fieldsOf(message: Message, from: string) {
  const { to, toName, subject, html, text, attachments, messageId } = message;
  return {
    from,
    to: to.map((address) => ({ address, name: to.length === 1 ? (toName ?? "") : "" })),
    subject,
    html,
    text,
    messageId,
    headers: { "Auto-Submitted": "auto-generated" },
    attachments: attachments.map((attachment) => ({ ...attachment })),
    // Attachments are files of the tenant that were checked, never names for nodemailer to open.
    disableUrlAccess: true,
  };
}

interface MailFailure {
  readonly code?: unknown;
  readonly responseCode?: unknown;
  readonly rejectedErrors?: readonly MailFailure[];
}

function mailError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, responseCode, rejectedErrors } = error as Error & MailFailure;
  const message = `The mail server: ${oneLine(error.message)}`;
  const options = { stage: "send", cause: error };
  switch (code) {
    case "ECONNECTION":
    case "ETIMEDOUT":
    case "ESOCKET":
    case "EDNS":
    case "ETLS":
    case "EREQUIRETLS":
    case "EPROTOCOL":
      return new HandlerError("NETWORK_ERROR", message, options);
    case "EAUTH":
    case "ENOAUTH":
      return new HandlerError("TEMPORARY_FAILURE", message, options);
    case "EENVELOPE":
    case "EMESSAGE": {
      const all = (rejectedErrors ?? []).map((refusal) => refusal.responseCode);
      const permanent =
        all.length > 0 ? all.every(isPermanent) : isPermanent(responseCode) || responseCode == null;
      if (!permanent) return new HandlerError("TEMPORARY_FAILURE", message, options);
      const name = code === "EENVELOPE" ? "RECIPIENTS_REFUSED" : "MESSAGE_REFUSED";
      return new HandlerError(name, message, { ...options, dataFault: true });
    }
    default:
      return error;
  }
}

/** 5yz is a refusal for good, 4yz one for now (RFC 5321, 4.2.1). */
function isPermanent(responseCode: unknown): boolean {
  return typeof responseCode === "number" && responseCode >= 500 && responseCode < 600;
}
