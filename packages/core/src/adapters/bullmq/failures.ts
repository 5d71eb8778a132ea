import { commonMessage, fingerprintOf } from "../../error-groups.ts";
import type { ErrorGroup, ErrorGroupsParams } from "../../queue-adapter.ts";
import type { Connection, Reply } from "./connection.ts";
import { parseLane } from "./job-hash.ts";
import type { Listing } from "./listing.ts";

/** Groups told in one step, which must stay short. */
const STEP = 500;

/** One lane's part of a group. */
interface Part {
  readonly lane: string;
  readonly group: string;
  readonly count: number;
  readonly firstAt: number;
  readonly lastAt: number;
  readonly newest: number;
}

/** What is known of failed jobs by the groups of their errors. */
export class Failures {
  readonly #connection: Connection;
  readonly #listing: Listing;

  constructor(connection: Connection, listing: Listing) {
    this.#connection = connection;
    this.#listing = listing;
  }

  async groups(params: ErrorGroupsParams): Promise<readonly ErrorGroup[]> {
    const { from, to, limit } = params;
    const period = [String(from ?? "-inf"), String(to ?? "+inf")] as const;
    const groups = new Map<string, Part[]>();
    for (const { lane, counts } of await this.#listing.lanes(params)) {
      if (counts.failed === 0) continue;
      for (const part of await this.#partsOf(lane, period)) {
        const fingerprint = fingerprintOf(part.group, parseLane(lane).queue);
        const parts = groups.get(fingerprint);
        if (parts === undefined) groups.set(fingerprint, [part]);
        else parts.push(part);
      }
    }
    const largest = [...groups]
      .map(([fingerprint, parts]) => ({ fingerprint, parts, ...sumsOf(parts) }))
      .sort((a, b) => b.count - a.count || b.lastAt - a.lastAt)
      .slice(0, limit);
    const told = await Promise.all(
      largest.map(async ({ fingerprint, parts, ...sums }) => {
        const { perHour, message } = await this.#hours(parts, period);
        // Retried or removed while the others were counted.
        if (message === "") return [];
        const [{ lane, newest }] = parts as [Part, ...Part[]];
        const { queue } = parseLane(lane);
        const sample = { sampleId: newest, sampleMessage: message };
        return [
          { fingerprint, queue, message: commonMessage(message), ...sums, ...sample, perHour },
        ];
      }),
    );
    return told.flat();
  }

  async #partsOf(lane: string, period: readonly [string, string]): Promise<Part[]> {
    const parts: Part[] = [];
    let after = "";
    do {
      const answer = await this.#connection.script("error-groups", lane, after, ...period, STEP);
      const [next, ...rows] = answer as readonly [string, ...(readonly Reply[])[]];
      for (const [group, count, firstAt, lastAt, newest] of rows) {
        parts.push({
          lane,
          group: String(group),
          count: Number(count),
          firstAt: Number(firstAt),
          lastAt: Number(lastAt),
          newest: Number(newest),
        });
      }
      after = next;
    } while (after !== "");
    return parts;
  }

  /** By the hour, over all parts, and the message of the newest job, which is in the first one. */
  async #hours(
    parts: readonly Part[],
    period: readonly [string, string],
  ): Promise<{ perHour: number[]; message: string }> {
    const answers = await Promise.all(
      parts.map(({ lane, group, newest }) =>
        this.#connection.script("error-hours", lane, group, ...period, newest),
      ),
    );
    const perHour = Array.from({ length: 24 }, () => 0);
    for (const answer of answers as Reply[][]) {
      for (const hour of perHour.keys())
        perHour[hour] = (perHour[hour] ?? 0) + Number(answer[hour]);
    }
    return { perHour, message: String((answers[0] as Reply[])[24]) };
  }
}

/** Puts the part with the newest job in front. */
function sumsOf(parts: Part[]): Pick<ErrorGroup, "count" | "firstAt" | "lastAt"> {
  parts.sort((a, b) => b.lastAt - a.lastAt);
  return {
    count: parts.reduce((sum, part) => sum + part.count, 0),
    firstAt: Math.min(...parts.map((part) => part.firstAt)),
    lastAt: Math.max(...parts.map((part) => part.lastAt)),
  };
}
