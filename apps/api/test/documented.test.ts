import { expect, test } from "vitest";
import type { Operation } from "../src/operations.ts";
import { dialects } from "../src/dialects/index.ts";
import { assertDocumented, type Exchange } from "./documented.ts";

/*
 * Every answer that the tests get is held against the document: here, that what differs from it is found, whatever the
 * call.
 */

interface Described {
  readonly content?: { readonly "application/json"?: { readonly example?: unknown } };
}

function exampleOf(part: unknown): unknown {
  return (part as Described | undefined)?.content?.["application/json"]?.example;
}

/** As it would go if the examples were sent and answered; undefined where no JSON is answered. */
function exchangeOf({ method, path, request, responses }: Operation): Exchange | undefined {
  const status = [200, 201].find((one) => exampleOf(responses[one]) !== undefined);
  if (status === undefined) return undefined;
  const at = path.replaceAll(/\{\w+\}/g, "1");
  const sent = exampleOf(request?.body);
  return { method, path: at, sent, status, answered: exampleOf(responses[status]) };
}

/** Each with one value, anywhere in it, of a kind that it is not. */
function* spoilt(value: unknown): Generator {
  if (typeof value !== "object" || value === null) {
    yield typeof value === "string" ? 12_345 : { spoilt: "thoroughly" };
    return;
  }
  for (const [key, part] of Object.entries(value)) {
    for (const other of spoilt(part)) {
      if (Array.isArray(value)) yield value.with(Number(key), other);
      else yield { ...value, [key]: other };
    }
  }
}

/** What a job carries is the user's, and settings are as they are. */
const free = new Set(["getJobData", "getJobResult", "getSettings"]);

test.each(dialects.map((dialect) => [dialect.name, dialect] as const))(
  "%s: an answer or a request that is not as documented is found out",
  (_, { operations }) => {
    let tried = 0;
    for (const operation of Object.values(operations)) {
      const exchange = exchangeOf(operation);
      if (exchange === undefined || free.has(operation.operationId)) continue;
      const { operationId } = operation;
      const found = (change: Partial<Exchange>): boolean => {
        try {
          assertDocumented({ ...exchange, ...change });
          return false;
        } catch {
          return true;
        }
      };
      assertDocumented(exchange);
      const answers = [...spoilt(exchange.answered)].map((answered) => found({ answered }));
      const envelope = Object.keys(exchange.answered as object).map((key) => {
        const { [key]: _, ...rest } = exchange.answered as Record<string, unknown>;
        return found({ answered: rest });
      });
      expect({
        operationId,
        anotherStatus: found({ status: 299 }),
        oneWrongValue: answers.includes(true),
        oneMissingField: envelope.includes(true),
        // An event from outside is whatever its sender makes of it.
        wrongRequest:
          operationId === "takeEvent" || exchange.sent === undefined || found({ sent: 7 }),
      }).toEqual({
        operationId,
        anotherStatus: true,
        oneWrongValue: true,
        oneMissingField: true,
        wrongRequest: true,
      });
      tried++;
    }
    expect(tried).toBeGreaterThan(6);
  },
);
