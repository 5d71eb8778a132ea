import { describe, expect, test } from "vitest";
import { engines } from "../engines.ts";
import { native, refusal } from "./client.ts";

interface Progress {
  readonly total: number;
  readonly applied: number;
  readonly refused: number;
  readonly done: boolean;
  readonly error: { readonly code: string } | null;
}

async function linesOf(response: Response): Promise<readonly Progress[]> {
  expect(response.headers.get("content-type")).toBe("application/x-ndjson");
  const text = await response.text();
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Progress);
}

async function post(url: string, body: object, signal?: AbortSignal): Promise<Response> {
  const headers = { "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body) };
  return fetch(url, signal === undefined ? init : { ...init, signal });
}

async function last(url: string, body: object): Promise<Progress | undefined> {
  return (await linesOf(await post(url, body))).at(-1);
}

const none = { total: 0, applied: 0, refused: 0, done: true, error: null };

describe.each(engines)("actions over many jobs on %s", (engine) => {
  test("cancel, retry, promote and remove what a filter finds, telling of each step", async () => {
    const { url, data, pull } = await native({ engine });
    const actions = `${url}/jobs/actions`;
    const jobs = Array.from({ length: 450 }, (_, n) => ({
      queue: n < 445 ? "many" : "few",
      tags: [n % 2 === 0 ? "even" : "odd"],
    }));
    await data("POST", "/jobs/bulk", { jobs });
    const filter = { queue: ["many"] };
    const lines = await linesOf(
      await post(actions, { action: "cancel", filter, reason: "sold out" }),
    );
    expect(lines[0]).toEqual({ ...none, total: 445, done: false });
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.at(-1)).toEqual({ ...none, total: 445, applied: 445 });
    const { items } = await data("GET", "/jobs?state=cancelled&limit=1");
    expect(items[0].error.message).toBe("sold out");

    const odd = { queue: ["many"], tag: "odd", state: ["cancelled"] };
    expect(await last(actions, { action: "retry", filter: odd })).toMatchObject({ applied: 222 });
    // What has not failed is refused, and said to be.
    expect(await last(actions, { action: "retry", filter })).toMatchObject({
      applied: 223,
      refused: 222,
    });
    const [run] = await pull("few");
    expect(await last(actions, { action: "remove", filter: { queue: ["few"] } })).toMatchObject({
      total: 5,
      applied: 4,
      refused: 1,
      done: true,
    });
    await data("POST", "/jobs", { queue: "few", delayMs: 60_000 });
    const delayed = { state: ["delayed"] };
    expect(await last(actions, { action: "promote", filter: delayed })).toMatchObject({
      applied: 1,
    });
    expect((await data("GET", "/queues/few")).counts).toMatchObject({ waiting: 1, active: 1 });
    const one = { action: "cancel", filter: { id: [run?.id, "nobody", "987654"] } };
    expect(await last(actions, one)).toMatchObject({ total: 1, applied: 1 });
  });

  test("it goes on only as long as somebody listens", async () => {
    const { url, data } = await native({ engine });
    const jobs = Array.from({ length: 1000 }, () => ({ queue: "long" }));
    for (let n = 0; n < 5; n++) await data("POST", "/jobs/bulk", { jobs });
    const gone = new AbortController();
    const body = { action: "remove", filter: { queue: ["long"] } };
    const response = await post(`${url}/jobs/actions`, body, gone.signal);
    const reader = response.body?.getReader();
    await reader?.read();
    gone.abort();
    const left = async (): Promise<number> => (await data("GET", "/jobs?limit=0")).total as number;
    // It has ended once nothing changes any more.
    let before = -1;
    for (let now = await left(); now !== before; now = await left()) {
      before = now;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(before).toBeGreaterThan(0);
  });

  test("no condition at all is refused", async () => {
    const { call, add } = await native({ engine });
    await add({ queue: "kept" });
    for (const filter of [{}, { unknown: 1 }, { queue: [] }]) {
      const body = JSON.stringify({ action: "remove", filter });
      expect(await call("POST", "/jobs/actions", body)).toMatchObject(
        refusal(400, "INVALID_JOB_DATA"),
      );
    }
    expect(await call("POST", "/jobs/actions", '{"action":"boil","filter":{"state":["failed"]}}'))
      // The words of a refusal name the field.
      .toMatchObject(refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "action" }] }));
  });

  test("a queue is drained of what waits, or of what is asked for", async () => {
    const { url, call, data, pull } = await native({ engine });
    const { outcomes } = await data("POST", "/jobs/bulk", {
      jobs: [
        { queue: "pond" },
        { queue: "pond" },
        { queue: "pond", delayMs: 60_000 },
        { queue: "sea" },
      ],
    });
    await data("POST", "/jobs", { queue: "pond", dependsOn: [outcomes[3].id] });
    await pull("pond");
    const drain = `${url}/queues/pond/drain`;
    expect(await last(drain, {})).toMatchObject({ total: 1, applied: 1, done: true });
    expect((await data("GET", "/queues/pond")).counts).toMatchObject({
      waiting: 0,
      delayed: 1,
      blocked: 1,
      active: 1,
    });
    expect(await last(drain, { states: ["delayed", "blocked"] })).toMatchObject({ applied: 2 });
    expect((await data("GET", "/jobs?limit=0")).total).toBe(2);
    expect(await call("POST", "/queues/dry/drain")).toMatchObject(refusal(404, "QUEUE_NOT_FOUND"));
  });
});
