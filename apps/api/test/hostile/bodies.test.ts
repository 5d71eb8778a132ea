import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { refusedByDocument } from "../documented.ts";
import { broken, malformed, MARKER } from "./bodies.ts";
import {
  assertQuiet,
  assertSound,
  bearer,
  type Call,
  calls,
  exampleOf,
  fortress,
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
});
