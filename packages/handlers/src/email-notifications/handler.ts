import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { defineHandler, type Handler, HandlerError, type JobData, jobTypes } from "@jobyard/core";
import type { HandlerDeps } from "../handler-deps.ts";
import type { LocalFile, TenantFiles } from "../storage.ts";
import {
  type Attachment,
  type MailerOptions,
  type Message,
  send,
  senderOf,
  writeMessage,
} from "./mailer.ts";
import { htmlOf, textOf } from "./render.ts";
import { letterOf, oneLine } from "./templates.ts";

const type = jobTypes["email-notifications"];
type EmailData = JobData<typeof type>;
type AttachmentData = NonNullable<EmailData["attachments"]>[number];

/** Bytes of all attachments of a message; many mail servers take no more once it is encoded. */
const MOST_ATTACHED_BYTES = 25_000_000;

/** Sends a message, or writes it as an `.eml` file where no mail server is configured. */
export function emailNotificationsHandler(deps: HandlerDeps, options: MailerOptions = {}): Handler {
  const smtp = deps.smtp ?? null;
  return defineHandler(type, async (context) => {
    const { data, job, signal } = context;
    const files = deps.files.of(job.tenant);
    const letter = letterOf(data);
    const to = recipientsOf(data);
    const taken: LocalFile[] = [];
    try {
      const message: Message = {
        to,
        toName: oneLine(data.recipientName ?? "") || null,
        subject: letter.subject,
        html: htmlOf(letter),
        text: textOf(letter),
        attachments: await attachmentsOf(data.attachments ?? [], files, signal, taken),
        messageId: messageIdOf(job.id, job.tenant, senderOf(smtp)),
      };
      if (smtp === null) {
        const file = await files.writeResult(job.id, "message.eml", (path) =>
          writeMessage(message, path),
        );
        const note =
          "No mail server is configured (SMTP_HOST): the message was written to message.eml and sent to nobody";
        context.log(note);
        const { messageId } = message;
        return {
          messageId,
          sentTo: [],
          failedRecipients: [],
          delivery: "file" as const,
          note,
          file: { ...file },
        };
      }
      const { refusals, ...sent } = await send(smtp, message, signal, options);
      for (const { recipient, reason } of refusals)
        context.log(`${recipient} was refused: ${reason}`);
      return { ...sent, delivery: "smtp" as const, ...(refusals.length > 0 && { refusals }) };
    } finally {
      await Promise.all(taken.map((file) => file.release()));
    }
  });
}

/** Each address once, in order. */
function recipientsOf({ recipientEmail, recipientEmails = [] }: EmailData): string[] {
  const all = [...(recipientEmail === undefined ? [] : [recipientEmail]), ...recipientEmails];
  return [...new Map(all.map((address) => [address.toLowerCase(), address])).values()];
}

function messageIdOf(jobId: number, tenant: string, sender: string): string {
  const domain = /@([A-Za-z0-9.-]+)>?\s*$/.exec(sender)?.[1] ?? "localhost";
  return `<job-${jobId}.${tenant}@${domain}>`;
}

async function attachmentsOf(
  attachments: readonly AttachmentData[],
  files: TenantFiles,
  signal: AbortSignal,
  taken: LocalFile[],
): Promise<Attachment[]> {
  const all: Attachment[] = [];
  let room = MOST_ATTACHED_BYTES;
  for (const attachment of attachments) {
    const { contentType } = attachment;
    const named = {
      filename: fileNameOf(attachment.filename),
      // Anything else, a line end above all, would end up in the part's header.
      ...(contentType !== undefined &&
        /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(contentType) && { contentType }),
    };
    if (attachment.content !== undefined) {
      const content = contentOf(attachment);
      room -= content.length;
      all.push({ ...named, content });
    } else if (attachment.resultOf !== undefined) {
      const { jobId, name } = attachment.resultOf;
      const path = files.resultPath(jobId, name);
      room -= await sizeOf(path, name);
      all.push({ ...named, path });
    } else {
      const file = await files.local(
        { filePath: attachment.filePath ?? attachment.path, fileUrl: attachment.fileUrl },
        { signal, maxBytes: Math.max(0, room) },
      );
      taken.push(file);
      room -= file.size;
      all.push({ ...named, path: file.path });
    }
    if (room < 0) {
      throw new HandlerError(
        "ATTACHMENTS_TOO_LARGE",
        `The attachments are larger than ${MOST_ATTACHED_BYTES} bytes together`,
        { dataFault: true, stage: "attachments" },
      );
    }
  }
  return all;
}

async function sizeOf(path: string, name: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    throw new HandlerError("FILE_NOT_FOUND", `${name}: no such result`, {
      dataFault: true,
      stage: "attachments",
      cause: error,
    });
  }
}

/** Without folders and control characters, whatever the sender's system calls a folder. */
function fileNameOf(name: string): string {
  return basename(oneLine(name).replaceAll("\\", "/")) || "attachment";
}

function contentOf({ content, encoding, filename }: AttachmentData): Buffer {
  if (typeof content !== "string") return Buffer.from(content?.data ?? []);
  if (encoding !== "base64") return Buffer.from(content, "utf8");
  const text = content.replace(/\s+/g, "");
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) {
    throw new HandlerError("INVALID_ATTACHMENT", `${oneLine(filename)}: is not base64`, {
      dataFault: true,
      stage: "attachments",
    });
  }
  return Buffer.from(text, "base64");
}
