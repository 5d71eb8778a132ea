import { z } from "zod";

/**
 * Fields that several job types' schemas share. Objects are loose throughout: fields that nobody
 * declared are kept and ignored.
 */

/** May stand in the data of every type; whoever adds the job checks it against its own tenant. */
export const anyData = { tenantId: z.string().optional() };

/** One of a fixed set of words; a missing one is told as missing. */
export function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
  return z.enum(values, {
    error: (issue) =>
      issue.input === undefined
        ? `Required field missing: one of ${values.join(", ")}`
        : `Must be one of ${values.join(", ")}`,
  });
}

/** A check for objects: at least one of these fields must be there. */
export function needsOneOf(first: string, ...others: string[]) {
  const names = [first, ...others];
  return z.superRefine<Record<string, unknown>>(
    (data, context) => {
      if (names.some((name) => data[name] !== undefined)) return;
      context.addIssue({
        code: "custom",
        path: [first],
        message: `Required field missing: ${names.join(" or ")}`,
      });
    },
    { when: isObject },
  );
}

/** Lets an object's own rules speak although some of its fields are wrong: all is told at once. */
export function isObject({ value }: { value: unknown }): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A name in the producer's own books: never used as a path. */
export const reference = z.string().min(1).max(256);

/** A name that becomes a file or folder name. */
export const pathSafeId = z
  .string()
  .min(1)
  .max(256)
  .regex(/^[A-Za-z0-9_.-]+$/, "Must consist of letters, digits, _ . and - only")
  .refine((id) => id !== "." && id !== "..", "Must not be . or ..");

/** Any 8-4-4-4-12 hexadecimal identifier, whatever its version. */
export const uuid = z.guid({
  error: ({ code }) =>
    code === "invalid_format"
      ? "Must be a UUID such as 6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b"
      : undefined,
});

const SAFE_PATH = /^[a-zA-Z0-9/_.-]+$/;
const hasParentSegment = (path: string) => path.split("/").includes("..");

/** A file of the tenant, relative to its folder; a leading slash is that folder. */
export const filePath = z
  .string()
  .min(1)
  .max(1024)
  .regex(SAFE_PATH, "Must consist of letters, digits and / _ . - only")
  .refine((path) => !hasParentSegment(path), "Must not contain a .. segment");

/** `s3:`, `http:` and `https:` addresses, `file:` and plain paths as in `filePath`. */
export const fileUrl = z
  .string()
  .min(1)
  .max(2048)
  .refine(
    isFileUrl,
    "Must be an s3://, http:// or https:// address, or a relative path of letters, digits and / _ . -",
  );

function isFileUrl(url: string): boolean {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase();
  if (scheme === "http" || scheme === "https") return URL.canParse(url);
  if (scheme === "s3") return /^s3:\/\/[^/\s]+\/\S/i.test(url);
  const path = url.replace(/^file:(?:\/\/)?/i, "");
  return SAFE_PATH.test(path) && !hasParentSegment(path);
}

/** One bare address: nothing in it can start another header or another recipient. */
export const emailAddress = z
  .string()
  .min(1)
  .regex(
    /^[^\s\p{Cc}@"<>()[\]\\,;:]{1,64}@[^\s\p{Cc}@"<>()[\]\\,;:]{1,255}$/u,
    "Must be an e-mail address such as name@example.com",
  );

export const emailAddresses = z.array(emailAddress).max(1000);

const isoDate = z.iso.date();
const isoDateTime = z.iso.datetime({ offset: true, local: true });

const isMoment = (text: string) =>
  isoDate.safeParse(text).success || isoDateTime.safeParse(text).success;

/** A day (`2026-01-31`) or a moment (`2026-01-31T08:00:00Z`); no zone means UTC. */
export const isoMoment = z
  .string()
  .refine(
    isMoment,
    "Must be a date such as 2026-01-31 or a date and time such as 2026-01-31T08:00:00Z",
  );

/** A check for objects: the first moment is not after the second; both may be the same day. */
export function inOrder(from: string, to: string) {
  return z.superRefine<Record<string, unknown>>(
    (range, context) => {
      const start = utcMillis(range[from]);
      const end = utcMillis(range[to]);
      if (Number.isNaN(start) || Number.isNaN(end) || start <= end) return;
      context.addIssue({ code: "custom", path: [to], message: `Must not be before ${from}` });
    },
    { when: isObject },
  );
}

function utcMillis(moment: unknown): number {
  if (typeof moment !== "string" || !isMoment(moment)) return Number.NaN;
  // Date.parse takes a date-time without a zone for local time.
  const hasZone = !moment.includes("T") || /(?:Z|[+-]\d\d:?\d\d)$/i.test(moment);
  return Date.parse(hasZone ? moment : `${moment}Z`);
}

/** A result too large for the job itself, or one that is a document: served under the job's id. */
export const resultFile = z.looseObject({
  name: z.string(),
  /** Bytes. */
  size: z.number().int().min(0),
  contentType: z.string(),
});
