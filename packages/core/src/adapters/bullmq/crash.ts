import { errorGroupOf } from "../../error-groups.ts";
import type { JobFailure } from "../../job.ts";
import { CRASH_LIMIT } from "../../retry-policy.ts";

/** In the place of these where no worker died. */
export const noCrash: readonly (string | number)[] = ["", 0, "", "", ""];

/** What the script `release` is told of a crash: its message, the limit, and how the job fails at the limit. */
export function crashArguments(message: string): readonly (string | number)[] {
  const last = `The worker died or went silent ${CRASH_LIMIT} times while it ran this job, as often as is tried (${CRASH_LIMIT}); last: ${message}`;
  const failure: JobFailure = { code: "crashed", message: last };
  return [message, CRASH_LIMIT, last, JSON.stringify(failure), errorGroupOf(last)];
}
