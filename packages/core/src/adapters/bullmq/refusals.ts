import { jobNotFound, QueueError } from "../../errors.ts";
import type { JobState } from "../../job.ts";
import type { Outcome } from "../../queue-adapter.ts";
import { groupIsFull } from "../../queue-groups.ts";
import type { Reply } from "./connection.ts";

/** Why a script refused to touch a run: "unknown", "stale" or "is <state>". */
export function runRefusal(id: number, why: string): QueueError {
  if (why === "unknown") return jobNotFound(id);
  if (why === "stale") {
    return new QueueError(
      "STALE_LEASE",
      `Job ${id}: this run is over or belongs to another worker`,
    );
  }
  return invalidState(id, why.slice("is ".length) as JobState, "is not being run");
}

export function runOutcome(id: number, answer: Reply): Outcome<true> {
  return answer === "ok" ? true : runRefusal(id, String(answer));
}

export function stateOutcome(id: number, answer: Reply): Outcome<JobState> {
  const text = String(answer);
  return text.startsWith("!") ? runRefusal(id, text.slice(1)) : (text as JobState);
}

export function invalidState(id: number, state: JobState, refusal: string): QueueError {
  return new QueueError("INVALID_STATE", `Job ${id} ${refusal}: it is ${state}`, { state });
}

export function duplicate(holder: number | undefined, index?: number): QueueError {
  const details = {
    ...(holder === undefined ? {} : { existingId: holder }),
    ...(index === undefined ? {} : { index }),
  };
  return new QueueError("DUPLICATE_JOB", "Duplicate job", details);
}

/** Why a new job was refused, in the words of the script `enqueue`. */
export function addRefusal(index: number, why: string, queuesPerTenant: number): QueueError {
  const [kind, rest = ""] = why.split(" ");
  switch (kind) {
    case "duplicate":
      return duplicate(rest === "" ? undefined : Number(rest), index);
    case "full":
      return groupIsFull(Number(rest), index);
    case "sibling":
      return new QueueError("DEPENDENCY_NOT_FOUND", `Job ${rest} of the batch was refused`, {
        ids: [],
        index,
      });
    case "dependencies": {
      const ids = rest.split(",").map(Number);
      const what = `Jobs to depend on were not found, or were cancelled: ${ids.join(", ")}`;
      return new QueueError("DEPENDENCY_NOT_FOUND", what, { ids, index });
    }
    default:
      return tooManyQueues(queuesPerTenant, index);
  }
}

export function tooManyQueues(queuesPerTenant: number, index?: number): QueueError {
  return new QueueError(
    "LIMIT_REACHED",
    `There are ${queuesPerTenant} queues already, as many as a tenant can have`,
    index === undefined ? {} : { index },
  );
}
