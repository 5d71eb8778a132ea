import fc from "fast-check";
import { expect, test } from "vitest";
import { exportData, serve } from "../running-server.ts";

const runs = process.env["JOBYARD_LONG"] === "1" ? 5000 : 250;

const types = [
  "sentiment_analysis_batch",
  "data_export",
  "email-notification",
  "quote-calculation",
  "nope",
];

const nasty = fc.oneof(
  fc.constantFrom<unknown>(
    "\ud800",
    "\u0000",
    "__proto__",
    -0,
    1e21,
    2 ** 53,
    Number.MIN_VALUE,
    [],
    {},
    [[[[]]]],
    null,
  ),
  fc.jsonValue(),
  fc.string({ unit: "binary" }),
);

const job = fc.record(
  {
    type: fc.oneof(fc.constantFrom<unknown>(...types), nasty),
    data: fc.oneof(
      nasty,
      fc.record({ texts: fc.oneof(nasty, fc.array(nasty)), language: nasty }, { requiredKeys: [] }),
      fc.constant(exportData),
    ),
    priority: fc.oneof(fc.constantFrom<unknown>("high", "low"), nasty),
    options: fc.oneof(nasty, fc.record({ priority: nasty, attempts: nasty }, { requiredKeys: [] })),
  },
  { requiredKeys: [] },
);

const body = fc.oneof(
  job.map((value) => JSON.stringify(value)),
  fc.jsonValue().map((value) => JSON.stringify(value)),
  // Cut off, doubled, bent.
  fc.tuple(job, fc.nat(), fc.string()).map(([value, at, insert]) => {
    const text = JSON.stringify(value);
    const place = at % (text.length + 1);
    return `${text.slice(0, place)}${insert}${text.slice(place)}`;
  }),
  fc.uint8Array({ maxLength: 200 }),
  fc
    .nat(300)
    .map((depth) => `{"type":"data_export","data":${"[".repeat(depth)}${"]".repeat(depth)}}`),
);

test("no body makes the server fail, and every refusal is in the envelope", async () => {
  const { call } = await serve({ handlers: [] });
  await fc.assert(
    fc.asyncProperty(
      body,
      fc.constantFrom("/api/v1/jobs", "/api/v1/jobs/9007199254740991/wait"),
      async (text, path) => {
        const answer = await call("POST", path, text);
        expect([201, 400, 404, 413]).toContain(answer.status);
        expect(answer.body.success).toBe(answer.status === 201);
        expect(answer.body.timestamp).toMatch(/Z$/);
        if (answer.status !== 201) expect(answer.body.details.code).toMatch(/^[A-Z_]+$/);
        if (answer.status === 400 && answer.body.details.code === "INVALID_JOB_DATA") {
          expect(answer.body.details["errors"]).not.toHaveLength(0);
        }
      },
    ),
    { numRuns: runs },
  );
  // Whatever was taken can be read again.
  const listed = await call("GET", "/api/v1/jobs?limit=100");
  expect(listed.status).toBe(200);
});

test("no id or query makes the server fail", async () => {
  const { call } = await serve({ handlers: [] });
  const segment = fc.oneof(
    fc
      .string({ unit: "binary", minLength: 1 })
      .map((text) => encodeURIComponent(text.toWellFormed())),
    fc.stringMatching(/^[A-Za-z0-9%._~-]{1,40}$/),
    fc.bigInt().map(String),
    fc.uuid(),
    fc.stringMatching(/^6a6f6279-6172-8640-80[0-9a-f]{2}-[0-9a-f]{12}$/),
  );
  const value = fc.oneof(
    segment,
    fc.constantFrom("", "1", "pending", "data_export", "high", "NaN", "1e3"),
  );
  const query = fc.dictionary(
    fc.constantFrom("status", "type", "priority", "limit", "page", "x"),
    value,
  );
  await fc.assert(
    fc.asyncProperty(segment, query, async (id, asked) => {
      // Dot segments are resolved before they are sent.
      fc.pre(!/^(\.|%2e){1,2}$/i.test(id));
      expect((await call("GET", `/api/v1/jobs/${id}`)).status).toBe(404);
      expect((await call("DELETE", `/api/v1/jobs/${id}`)).status).toBe(404);
      const text = Object.entries(asked)
        .map(([key, one]) => `${key}=${one}`)
        .join("&");
      const listed = await call("GET", `/api/v1/jobs?${text}`);
      expect([200, 400]).toContain(listed.status);
      expect(listed.body.success).toBe(listed.status === 200);
    }),
    { numRuns: runs },
  );
});
