import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Jobyard } from "@jobyard/sdk";
import { Worker } from "@jobyard/sdk/worker";
import { expect, onTestFinished, test } from "vitest";
import { serve } from "./running-cli.ts";

const server = await serve();
const { jobs, json } = server;
const client = new Jobyard({ baseURL: server.url });

/** Runs what is in a queue, until the test is over. */
function work(queue: string, handler: (job: { data?: unknown }) => unknown): void {
  const worker = new Worker(queue, async (job) => handler(job), {
    baseURL: server.url,
    drainMs: 0,
  });
  onTestFinished(() => worker.close());
}

test("add takes its data from the command line, a file and standard input, with every option", async () => {
  const first = await jobs([
    "add",
    "prints",
    '{"pages":3}',
    "--name",
    "cover",
    "--tag",
    "a",
    "--tag",
    "b",
  ]);
  expect(first).toMatchObject({ code: 0, err: "" });
  const id = first.out.trim();
  expect(await client.jobs.get(id)).toMatchObject({
    queue: "prints",
    name: "cover",
    data: { pages: 3 },
    tags: ["a", "b"],
  });
  const file = join(server.dataDir, "data.json");
  await writeFile(file, '\uFEFF{"from":"file"}');
  const options =
    "--priority -3 --lifo --delay 5m --ttl 1h --timeout 30s --attempts 4 --backoff 2s --unique u --project p --batch b".split(
      " ",
    );
  const second = await json<{ id: string }>(
    "add",
    "prints",
    `@${file}`,
    "--depends-on",
    id,
    ...options,
  );
  expect(await client.jobs.get(second.id)).toMatchObject({
    data: { from: "file" },
    priority: -3,
    lifo: true,
    delayMs: 300_000,
    ttlMs: 3_600_000,
    timeoutMs: 30_000,
    maxAttempts: 4,
    backoffMs: 2000,
    uniqueKey: "u",
    project: "p",
    batch: "b",
    dependsOn: [id],
  });
  const duplicate = await jobs(["add", "prints", "--unique", "u"]);
  expect(duplicate.code).toBe(7);
  const piped = await jobs(["add", "prints", "-", "--idempotency-key", "once"], { input: "[1,2]" });
  const again = await jobs(["add", "prints", "-", "--idempotency-key", "once"], { input: "[1,2]" });
  expect(again.out).toBe(piped.out);
  expect(await client.jobs.get(piped.out.trim())).toMatchObject({ data: [1, 2] });
});

test("get shows a job, its data, result, runs and dependencies", async () => {
  work("sums", (job) => ({ sum: (job.data as number[]).reduce((a, b) => a + b, 0) }));
  const added = await jobs(["add", "sums", "[1,2,3]", "--wait"]);
  expect(added.code).toBe(0);
  const id = /^id\t(\d+)$/m.exec(added.out)?.[1] ?? "";
  expect(added.out).toMatch(/^state\tcompleted$/m);
  expect((await jobs(["get", id, "--result"])).out).toBe('{"sum":6}\n');
  expect((await jobs(["get", id, "--data"])).out).toBe("[1,2,3]\n");
  expect((await jobs(["get", id, "--attempts"])).out).toMatch(/^1\t\S+\t\S+\t.*\tcompleted/);
  const { id: second } = await json<{ id: string }>("add", "later", "--delay", "1h");
  const { id: third } = await json<{ id: string }>("add", "later", "--depends-on", second);
  expect((await jobs(["get", second, "--dependencies"])).out).toMatch(
    new RegExp(`^is waited for by\\t${third}\\tlater`),
  );
  expect(await json("get", id)).toMatchObject({ id, result: { sum: 6 }, state: "completed" });
});

test("list finds jobs by every filter, pages, counts, and prints ids", async () => {
  const queue = client.getQueue("books");
  await queue.addMany(
    Array.from({ length: 7 }, (_, n) => ({
      name: `n${n % 2}`,
      opts: { tags: ["t"], project: "p" },
    })),
  );
  expect((await jobs(["list", "-q", "books", "--count"])).out).toBe("7\n");
  expect(
    (await jobs(["list", "-q", "books", "--name", "n1", "--ids"])).out.split("\n"),
  ).toHaveLength(4);
  const page = await json<{ items: unknown[]; total: number; next: string }>(
    "list",
    "-q",
    "books",
    "-n",
    "2",
  );
  expect(page).toMatchObject({ total: 7, items: [{ queue: "books" }, { queue: "books" }] });
  const next = await json<{ items: { id: string }[] }>(
    "list",
    "-q",
    "books",
    "-n",
    "2",
    "--cursor",
    page.next,
  );
  expect(next.items).toHaveLength(2);
  const all = await jobs([
    "list",
    "-q",
    "books",
    "-s",
    "waiting,delayed",
    "--tag",
    "t",
    "--since",
    "1h",
    "--all",
    "--json",
  ]);
  expect(
    all.out
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { queue: string }).queue),
  ).toEqual(Array.from({ length: 7 }, () => "books"));
  expect((await jobs(["list", "-q", "books", "--until", "1h"])).out).toBe("");
});

test("wait ends with 0 for completed jobs, 1 for others, 6 when time is over", async () => {
  work("coins", (job) => {
    if (job.data === "tails") throw new Error("It came up tails");
    return "heads";
  });
  const bad = await jobs(["add", "coins", '"tails"', "--wait"]);
  expect(bad.code).toBe(1);
  expect(bad.err).toMatch(/^jobs: Job \d+ failed: It came up tails\n$/);
  const ids = [];
  for (const data of ["heads", "tails", "heads"]) {
    ids.push((await client.jobs.add("coins", { data })).id);
  }
  const many = await jobs(["wait", ...ids]);
  expect(many.code).toBe(1);
  expect(many.err).toBe(`jobs: 1 of 3 jobs did not complete: ${ids[1]}\n`);
  expect(many.out.trim().split("\n")).toHaveLength(3);
  const { id } = await client.jobs.add("idle", {});
  const late = await jobs(["wait", id, "--timeout", "50ms"]);
  expect(late).toMatchObject({ code: 6, err: `jobs: The time is over. Job ${id} goes on\n` });
  expect((await jobs(["wait", "99999"])).code).toBe(3);
});

test("Ctrl-C in a wait says how far it was", async () => {
  const { id } = await client.jobs.add("idle", {});
  const { child, ended } = server.start(["wait", id, "--debug"]);
  // It has begun: it tells its first call, which stays open.
  await once(child.stderr!, "data");
  child.kill("SIGINT");
  const { code, err } = await ended;
  expect(code).toBe(130);
  expect(err).toContain(`Interrupted. Job ${id} goes on`);
});

test("queues are listed, shown, paused, limited and drained", async () => {
  await client.getQueue("inks").addMany([{}, {}, { opts: { delayMs: 1e6 } }]);
  expect((await jobs(["queues"])).out).toMatch(/^inks\t2\t1\t0\t0\t0\t0\trunning\t-$/m);
  expect(await json("queues", "pause", "inks")).toMatchObject({ paused: true });
  expect((await jobs(["queues", "show", "inks"])).out).toMatch(/^state\tpaused$/m);
  expect(await json("queues", "resume", "inks")).toMatchObject({ paused: false });
  expect(await json("queues", "limit", "inks", "50")).toMatchObject({ rateLimit: 50 });
  expect(await json("queues", "concurrency", "inks", "2")).toMatchObject({ concurrency: 2 });
  expect(await json("queues", "limit", "inks", "none")).toMatchObject({ rateLimit: null });
  expect(await json("queues", "index", "inks", "data.colour")).toMatchObject({
    indexedPaths: ["data.colour"],
  });
  const asked = await jobs(["queues", "drain", "inks"]);
  expect(asked).toMatchObject({
    code: 2,
    err: "jobs: Remove 2 jobs? Say --yes, as nobody can be asked here\n",
  });
  expect((await jobs(["queues", "drain", "inks", "--yes"])).out).toBe("2 jobs removed\n");
  expect(await json("queues", "drain", "inks", "-s", "delayed,waiting", "-y")).toMatchObject({
    applied: 1,
    done: true,
  });
});

test("health and the token in use", async () => {
  expect(await json("health")).toMatchObject({ status: "healthy", engine: "sqlite" });
  expect((await jobs(["health"])).out).toContain(server.url);
  const token = await jobs(["token", "create", "--role", "MANAGER", "--tenant", "acme"], {
    env: { DATA_DIR: server.dataDir },
  });
  expect(token.code).toBe(0);
  const as = { env: { JOBS_TOKEN: token.out.trim() } };
  const shown = await jobs(["token", "show", "--json"], as);
  expect(JSON.parse(shown.out)).toMatchObject({
    tenant: "acme",
    roles: ["MANAGER"],
    may: ["read"],
  });
  const refused = await jobs(["add", "x"], as);
  expect(refused.code).toBe(4);
  expect(refused.err).toContain("`jobs token show` tells what yours may do");
  const elsewhere = await jobs(["token", "create"], { env: { API_TOKENS: "abc" } });
  expect(elsewhere).toMatchObject({ code: 1, out: "" });
  expect(elsewhere.err).toContain("API_TOKENS");
  const secret = "a secret of thirty-two bytes, at least";
  const signed = await jobs(["token", "create", "--expires", "1h"], {
    env: { JWT_SECRET: secret },
  });
  const [, claims = ""] = signed.out.split(".");
  const { exp, iat } = JSON.parse(Buffer.from(claims, "base64url").toString()) as {
    exp: number;
    iat: number;
  };
  expect(exp - iat).toBe(3600);
});
