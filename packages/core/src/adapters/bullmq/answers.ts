import { type Answer, decodeOutcome, type Outcome } from "../../queue-adapter.ts";
import type { Reply } from "./connection.ts";
import { addRefusal } from "./refusals.ts";

export const QUEUES_PER_TENANT = 10_000;

/** In the place of the count of jobs: the answer came from another engine, which does not tell it in the script's words. */
const AS_JSON = "json";

/** What the script `enqueue` says: the first id, then places of refused jobs and why. */
export function addOutcome(
  [firstId, ...refusals]: readonly Reply[],
  count: number,
  atomic: boolean,
): Outcome<readonly Outcome<number>[]> {
  const outcomes = Array.from({ length: count }, (_, i): Outcome<number> => Number(firstId) + i);
  for (let i = 0; i < refusals.length; i += 2) {
    const place = Number(refusals[i]);
    const refusal = addRefusal(place, String(refusals[i + 1]), QUEUES_PER_TENANT);
    if (atomic) return refusal;
    outcomes[place] = refusal;
  }
  return outcomes;
}

/** From its lines in Redis. */
export function keptAnswer(text: string): Answer {
  const [, count, atomic, note = "", ...answer] = text.split("\n");
  if (count === AS_JSON) {
    return { outcome: decodeOutcome(answer[0] ?? "[]"), note, repeated: true };
  }
  return { outcome: addOutcome(answer, Number(count), atomic === "1"), note, repeated: true };
}

/** As `keptAnswer` reads it, valid until then. */
export function encodeAnswer(
  { outcome, note }: Pick<Answer, "outcome" | "note">,
  until: number,
): string {
  return [until, AS_JSON, "", note, JSON.stringify(outcome)].join("\n");
}
