/** A job's id: a whole number from 1 to 2^53 - 1, unique over all queues and tenants. */
export type JobId = number;

/*
 * As a UUID (version 8, RFC 9562) an id reads 6a6f6279-6172-8640-80HH-LLLLLLLLLLLL: the constant
 * part is "jobyard" in ASCII around the version, 80 is the variant and nine zero bits, and H and L
 * are the id's upper 5 and lower 48 bits. No other UUID is an id.
 */
const UUID_PREFIX = "6a6f6279-6172-8640-80";
const UUID = /^6a6f6279-6172-8640-80([01][0-9a-f])-([0-9a-f]{12})$/i;
const LOW = 2 ** 48;

const DECIMAL = /^[1-9][0-9]{0,15}$/;

/** The id's UUID spelling, in lower case. */
export function formatUuid(id: JobId): string {
  const high = Math.floor(id / LOW)
    .toString(16)
    .padStart(2, "0");
  const low = (id % LOW).toString(16).padStart(12, "0");
  return `${UUID_PREFIX}${high}-${low}`;
}

/**
 * Reads an id in any of its spellings: a number, a decimal string (digits only, no leading zero),
 * or its UUID in either case. Null for everything else, which then is the id of no job.
 */
export function parseJobId(spelling: unknown): JobId | null {
  if (typeof spelling === "number") return checked(spelling);
  if (typeof spelling !== "string") return null;
  if (DECIMAL.test(spelling)) return checked(Number(spelling));
  const [, high, low] = UUID.exec(spelling) ?? [];
  if (high === undefined || low === undefined) return null;
  return checked(Number.parseInt(high, 16) * LOW + Number.parseInt(low, 16));
}

export function isJobId(id: unknown): id is JobId {
  return typeof id === "number" && Number.isSafeInteger(id) && id >= 1;
}

function checked(id: number): JobId | null {
  return isJobId(id) ? id : null;
}
