import { z } from "zod";
import {
  anyData,
  emailAddress,
  emailAddresses,
  filePath,
  fileUrl,
  isObject,
  needsOneOf,
  oneOf,
  resultFile,
} from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const templates = ["quote-ready", "quote-accepted", "quote-expired", "order-shipped"] as const;

/** Fields of free notifications; where one of them stands, `type` is only a label. */
const notificationFields = [
  "recipientEmails",
  "notificationType",
  "reminderType",
  "alertType",
  "emailType",
  "message",
  "subject",
] as const;

const byte = z.number().int().min(0).max(255);

const attachment = z
  .looseObject({
    filename: z.string().min(1).max(255),
    contentType: z.string().optional(),
    /** Text, or bytes as Node writes a Buffer into JSON. */
    content: z
      .union([z.string(), z.looseObject({ type: z.literal("Buffer"), data: z.array(byte) })], {
        error: "Must be a string",
      })
      .optional(),
    /** Of `content` as a string; absent: utf8. */
    encoding: oneOf(["utf8", "base64"]).optional(),
    path: filePath.optional(),
    filePath: filePath.optional(),
    fileUrl: fileUrl.optional(),
    /** A file among the results of another job of the tenant. */
    resultOf: z
      .looseObject({ jobId: z.number().int().min(1), name: z.string().min(1).max(200) })
      .optional(),
  })
  .check(needsOneOf("content", "path", "filePath", "fileUrl", "resultOf"));

/**
 * One of two: a message from one of the templates, to one recipient, with the template's data; or
 * a notification to any number of recipients, its text free.
 */
const data = z
  .looseObject({
    ...anyData,
    type: z.string().optional(),
    recipientEmail: emailAddress.optional(),
    recipientEmails: emailAddresses.min(1).optional(),
    recipientName: z.string().optional(),
    templateData: z.looseObject({}).optional(),
    attachments: z.array(attachment).max(100).optional(),
    notificationType: z.string().optional(),
    reminderType: z.string().optional(),
    alertType: z.string().optional(),
    emailType: z.string().optional(),
    message: z.string().optional(),
    subject: z.string().optional(),
  })
  .superRefine(
    (email, context) => {
      const complain = (field: string, message: string): void => {
        context.addIssue({ code: "custom", path: [field], message });
      };
      const fromTemplate = templates.some((template) => template === email.type);
      if (fromTemplate) {
        for (const field of ["recipientEmail", "templateData"] as const) {
          if (email[field] === undefined) complain(field, "Required field missing");
        }
        return;
      }
      const isNotification = notificationFields.some((field) => email[field] !== undefined);
      if (email.type !== undefined && !isNotification) {
        complain("type", `Must be one of ${templates.join(", ")}`);
      }
      if (email.recipientEmail === undefined && email.recipientEmails === undefined) {
        complain("recipientEmails", "Required field missing: recipientEmails or recipientEmail");
      }
    },
    { when: isObject },
  );

const result = z.looseObject({
  messageId: z.string(),
  sentTo: z.array(z.string()),
  /** Refused by the mail server for good, while it took others. */
  failedRecipients: z.array(z.string()),
  /** `file` where no mail server is configured: the message was written, nothing was sent. */
  delivery: oneOf(["smtp", "file"]),
  /** Says so in words. */
  note: z.string().optional(),
  refusals: z.array(z.looseObject({ recipient: z.string(), reason: z.string() })).optional(),
  /** The message itself where no mail server is configured. */
  file: resultFile.optional(),
});

export const emailNotifications = defineJobType({
  name: "email-notifications",
  title: "E-mail notification",
  data,
  result,
  defaults: { attempts: 5, backoffMs: 10_000, timeoutMs: 30_000 },
});
