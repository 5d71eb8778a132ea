import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { refusedByDocument } from "../documented.ts";
import { broken, malformed, MARKER, smuggled } from "./bodies.ts";
import {
  assertQuiet,
  assertSound,
  bearer,
  type Call,
  calls,
  exampleOf,
  fortress,
  parametersOf,
  send,
  tryEach,
} from "./calls.ts";

const withBody = calls.filter((call) => exampleOf(call) !== undefined);
const longest = 120_000;

const TELLS_OF_A_REFUSAL = /"(?:error|code)":["{]|"errors":\[./;

interface Attempt {
  readonly call: Call;
  readonly label: string;
  readonly body: string | Uint8Array;
}

function* attempts(): Generator<Attempt> {
  for (const call of withBody) {
    for (const { label, body } of malformed) yield { call, label, body };
    for (const { label, body } of broken(exampleOf(call))) yield { call, label, body };
  }
}

function* smuggling(): Generator<Attempt> {
  for (const call of withBody) {
    for (const { label, body } of smuggled(exampleOf(call))) yield { call, label, body };
  }
}

describe.each(engines)("on the %s engine", (engine) => {
  test(
    "whatever is wrong in a body, it is refused in the dialect's words, and nothing fails",
    async () => {
      const { url, logged } = await fortress({ engine });
      const headers = await bearer({ roles: ["ADMIN"] });
      const tried = await tryEach(attempts(), async ({ call, label, body }) => {
        const sent = { body, headers };
        const answer = await send(url, call, sent);
        assertSound(call, answer, sent);
        const { method, path } = call.operation;
        // Nothing reads as an empty object.
        if (typeof body !== "string" || body === "" || !refusedByDocument(method, path, body))
          return;
        // Of a list, each part may be judged by itself.
        if (TELLS_OF_A_REFUSAL.test(answer.text)) return;
        const what = `${call.title}: ${label} is not as documented, but was taken: ${body.slice(0, 300)}`;
        expect(answer.status < 200 || answer.status >= 300, what).toBe(true);
      });
      expect(tried).toBeGreaterThan(withBody.length * 50);
      assertQuiet(logged(), MARKER, headers.Authorization);
    },
    longest,
  );

  test(
    "what no JSON should hold is refused in fields that nobody asked for, too",
    async () => {
      const { url, logged } = await fortress({ engine });
      const headers = await bearer({ roles: ["ADMIN"], tenantId: "*" });
      // Those that exist before their first job.
      const params = { queueName: "data-validation", queue: "data-validation" };
      const refused = new Set<string>();
      await tryEach(smuggling(), async ({ call, label, body }) => {
        const sent = { body, headers, params };
        const answer = await send(url, call, sent);
        assertSound(call, answer, sent);
        const what = `${call.title}: ${label} answered ${answer.status} ${answer.text.slice(0, 300)}`;
        const names = parametersOf(call).some((name) => !name.startsWith("queue"));
        if (answer.status === 400) refused.add(call.title);
        // What is named does not exist; of a list, each part may be judged by itself.
        else if (!(names && answer.status === 404)) {
          expect(answer.text, what).toMatch(TELLS_OF_A_REFUSAL);
          expect(answer.text, what).toMatch(/__proto__|finite|nested deeper/);
        }
      });
      expect(refused.size).toBeGreaterThan(20);
      assertQuiet(logged());
    },
    longest,
  );
});
