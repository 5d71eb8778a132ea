import { expect, test } from "vitest";
import { serve } from "../running-server.ts";

test("what no dialect has is refused in flashQ's words", async () => {
  const { call } = await serve({ handlers: [] });
  for (const path of ["/", "/x", "/api", "/api/unheard-of", "/queues/", "/jobs/1/unheard-of"]) {
    const { status, body } = await call("GET", path);
    expect([path, status, body]).toEqual([
      path,
      404,
      { ok: false, data: null, error: "There is nothing here" },
    ]);
  }
  const { status, body, headers } = await call("PUT", "/queues/thumbnails/jobs");
  expect([status, headers.get("allow"), body]).toEqual([
    405,
    "POST, GET, HEAD",
    { ok: false, data: null, error: "Only POST, GET, HEAD here" },
  ]);
});
