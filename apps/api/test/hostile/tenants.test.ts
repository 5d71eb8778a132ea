import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import {
  type Answered,
  assertQuiet,
  assertSound,
  bearer,
  type Call,
  calls,
  exampleOf,
  type Fortress,
  fortress,
  parametersOf,
  send,
  tryEach,
} from "./calls.ts";

const patience = 120_000;
const SECRET = "what-only-its-tenant-may-see";

/** What the owner has, by what a path calls it; and the like that nobody has. */
interface Things {
  readonly owned: Readonly<Record<string, string>>;
  readonly ghosts: Readonly<Record<string, string>>;
}

const NOBODYS_JOB = 9_007_199_254_740_991;

/** A job that waits, one that is done with a file, a queue, a schedule, a webhook, a worker and a file, all of one tenant. */
async function furnish({ url }: Fortress, headers: { Authorization: string }): Promise<Things> {
  const ask = async (method: string, path: string, body?: unknown): Promise<{ id: string }> => {
    const response = await fetch(`${url}/api/native${path}`, {
      method,
      headers,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const answer = (await response.json()) as { data: { id: string } };
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer.data;
  };
  const queue = "owners-queue";
  const job = { queue, data: { note: SECRET }, name: SECRET, tags: [SECRET] };
  const { id } = await ask("POST", "/jobs", job);
  await ask("POST", "/schedules", { name: "owners-schedule", cron: "1 2 3 4 *", job });
  const webhook = await ask("POST", "/webhooks", {
    url: `https://hooks.example.org/${SECRET}`,
    events: ["job.completed"],
  });
  await ask("PUT", "/workers/owners-worker", {
    queues: [queue],
    concurrency: 1,
    active: 0,
    processed: 0,
  });
  await ask("PUT", "/files/owners-file.txt", SECRET);
  return {
    owned: {
      job: id,
      queue,
      schedule: "owners-schedule",
      webhook: webhook.id,
      worker: "owners-worker",
      file: "owners-file.txt",
    },
    ghosts: {
      job: String(NOBODYS_JOB),
      queue: "nobody-queue",
      schedule: "nobody-schedule",
      webhook: "9007199254740991",
      worker: "nobody-worker",
      file: "nobody-file.txt",
    },
  };
}

/** Which of the things a parameter names: by what stands before it in the path, or else by its own name. */
function kindOf({ operation: { path } }: Call, parameter: string): string {
  const before =
    path
      .slice(0, path.indexOf(`{${parameter}}`))
      .split("/")
      .at(-2) ?? "";
  const kinds: Record<string, string> = { crons: "schedule", deliveries: "job", batches: "batch" };
  return kinds[before] ?? before.replace(/s$/, "");
}

/** With every id and name of a thing in it put in place of those of the example. */
function aimed(value: unknown, things: Readonly<Record<string, string>>): unknown {
  if (Array.isArray(value)) return value.map((part) => aimed(part, things));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => {
      const like = (text: unknown): unknown =>
        typeof text === "number" ? Number(things["job"]) : things["job"];
      if (/^(id|jobId)$/i.test(key)) return [key, like(part)];
      if (/^(ids|jobIds|depends_?on)$/i.test(key) && Array.isArray(part))
        return [key, part.map(like)];
      if (/^queues?(Name)?$/i.test(key)) {
        return [key, Array.isArray(part) ? [things["queue"]] : things["queue"]];
      }
      return [key, aimed(part, things)];
    }),
  );
}

/** An answer without what differs from call to call. */
function essence({ status, text }: Answered, things: Readonly<Record<string, string>>): string {
  let shown = text;
  for (const [kind, thing] of Object.entries(things)) {
    if (kind !== "job" && kind !== "webhook") shown = shown.replaceAll(thing, `<${kind}>`);
  }
  return `${status} ${shown
    .replaceAll(/"lease":"[^"]*"/g, "<lease>")
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<id>")
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
    .replaceAll(/"?\d+(\.\d+)?"?/g, "<number>")}`;
}

describe.each(engines)("on the %s engine", (engine) => {
  test(
    "what another tenant has is as if it were not there",
    async () => {
      const api = await fortress({ engine });
      const { url, logged } = api;
      const owner = await bearer({ roles: ["ADMIN"], tenantId: "owner" });
      const stranger = await bearer({ roles: ["ADMIN"], tenantId: "stranger" });
      const { owned, ghosts } = await furnish(api, owner);
      const views = ["/jobs", "/queues", "/schedules", "/webhooks", "/workers", "/files", "/stats"];
      const seenBy = async (headers: { Authorization: string }): Promise<string> => {
        const texts = await Promise.all(
          views.map(async (path) => {
            const response = await fetch(`${url}/api/native${path}`, { headers });
            return `${response.status} ${await response.text()}`;
          }),
        );
        return texts.join("\n").replaceAll(/"timestamp":"[^"]+"/g, "");
      };
      const before = await seenBy(owner);
      expect(before).toContain(SECRET);
      // One after the other: what one does to either of two names, all have done to both.
      const attempt = async (call: Call): Promise<void> => {
        const ask = async (things: Readonly<Record<string, string>>): Promise<string> => {
          const params = Object.fromEntries(
            parametersOf(call).map((name) => [name, things[kindOf(call, name)] ?? "no-such"]),
          );
          const example = exampleOf(call);
          const sent = {
            params,
            headers: stranger,
            ...(example !== undefined && { body: JSON.stringify(aimed(example, things)) }),
          };
          const answer = await send(url, call, sent);
          assertSound(call, answer, sent);
          expect(answer.text, call.title).not.toContain(SECRET);
          return essence(answer, things);
        };
        if (parametersOf(call).length === 0 && exampleOf(call) === undefined) {
          await ask(owned);
          return;
        }
        // Asked twice, so that what the first call makes is there for both.
        await ask(ghosts);
        const toGhost = await ask(ghosts);
        await ask(owned);
        const toOwned = await ask(owned);
        expect(toOwned, `${call.title}: ${toOwned} is not ${toGhost}`).toBe(toGhost);
      };
      await tryEach(calls, attempt, 1);
      expect(await seenBy(owner)).toBe(before);
      expect(await seenBy(stranger)).not.toContain(SECRET);
      assertQuiet(logged(), SECRET);
    },
    patience,
  );
});
