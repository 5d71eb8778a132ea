import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Jobyard } from "@jobyard/sdk";
import { expect, onTestFinished, test } from "vitest";
import { childEnv } from "../../../scripts/child-env.ts";
import { ensureSystemTools } from "../../../scripts/system-tools.ts";
import { diskCheck } from "../src/commands/doctor.ts";
import { serve, start } from "./running-cli.ts";

ensureSystemTools("zsh", "fish");
const server = await serve();
const { jobs, json } = server;
const client = new Jobyard({ baseURL: server.url });

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "jobyard-cli-operations-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Runs one job of a queue to its end. */
async function finish(queue: string, error?: string): Promise<string> {
  const { id } = await client.jobs.add(queue, {});
  const { items } = await client.call("pullJobs", { body: { queues: [queue], limit: 1 } });
  const runs = items.map(({ id, lease }) => ({ id, lease }));
  if (error === undefined) await client.call("ackJobs", { body: { items: runs } });
  else await client.call("failJobs", { body: { items: runs.map((run) => ({ ...run, error })) } });
  return id;
}

test("bulk adds lines, tells of each that is refused, and adds nothing twice", async () => {
  const lines = Array.from({ length: 25 }, (_, n) =>
    JSON.stringify({ data: { n, sep: "\u2028" } }),
  );
  lines.splice(3, 0, "{ nonsense");
  lines.splice(9, 0, '{"queue":"bad name"}', "", "[1]", '{"dependsOn":[{"sibling":0}]}');
  const input = lines.join("\n");
  const args = ["bulk", "-q", "mass", "--batch-size", "10"];
  const first = await jobs(args, { input });
  expect(first.out).toBe("25 jobs added, 4 lines refused\n");
  expect(first.code).toBe(1);
  expect(first.err).toMatch(/^line 4: not JSON: /m);
  expect(first.err).toMatch(/^line 10: .*queue/m);
  expect(first.err).toMatch(/^line 12: must be an object/m);
  expect(first.err).toMatch(/^line 13: dependsOn: takes ids here/m);
  const again = await jobs([...args, "--json"], { input });
  const told = again.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { line: number; error: object | null; repeated: boolean });
  expect(told).toHaveLength(29);
  for (const { line, error, repeated } of told) {
    expect([line, repeated]).toEqual([line, error === null]);
  }
  // Mended, in other places, with other batches: only what is new is added.
  lines[3] = '{"data":"sense"}';
  lines[9] = '{"queue":"mass","data":"a name"}';
  lines.splice(11, 2);
  const mended = await jobs(["bulk", "-q", "mass"], { input: lines.toReversed().join("\r\n") });
  expect(mended).toEqual({ code: 0, out: "2 jobs added, 25 added before\n", err: "" });
  expect((await client.jobs.page({ queue: ["mass"], limit: 0 })).total).toBe(27);
  const file = join(await folder(), "jobs.ndjson");
  // Two that are alike are two.
  await writeFile(file, '{"queue":"mass"}\n{"queue":"mass"}');
  expect((await jobs(["bulk", file])).out).toBe("2 jobs added\n");
  expect((await jobs(["bulk", file, "--key", "tuesday"])).out).toBe("2 jobs added\n");
  await writeFile(
    file,
    '{"queue":"mass"}\n{"queue":"mass","idempotencyKey":"k"}\n{"queue":"mass"}',
  );
  expect((await jobs(["bulk", file])).out).toBe("1 job added, 2 added before\n");
  expect((await client.jobs.page({ queue: ["mass"], limit: 0 })).total).toBe(32);
  expect((await jobs(["bulk", "/nowhere.ndjson"])).code).toBe(2);
});

test("bulk asks anew for what was refused before", async () => {
  const input = '{"uniqueKey":"seat 4","data":1}\n{"uniqueKey":"seat 4","data":2}\n{"data":3}';
  const bulk = async () => (await jobs(["bulk", "-q", "seats"], { input })).out;
  expect(await bulk()).toBe("2 jobs added, 1 line refused\n");
  expect(await bulk()).toBe("0 jobs added, 2 added before, 1 line refused\n");
  await client.jobs.removeAll({ queue: ["seats"] });
  expect(await bulk()).toBe("1 job added, 2 added before\n");
  expect(await bulk()).toBe("0 jobs added, 3 added before\n");
  expect(await client.jobs.page({ queue: ["seats"], include: ["data"] })).toMatchObject({
    items: [{ data: 2 }],
  });
});

test("Ctrl-C in a bulk that waits for lines ends it and says how many were added", async () => {
  const { child, ended } = server.start(["bulk", "-q", "cut", "--batch-size", "1", "--debug"]);
  child.stdin!.write('{"data":1}\n{"data":2}\n');
  await once(child.stderr!, "data");
  child.kill("SIGINT");
  const { code, err } = await ended;
  expect(code).toBe(130);
  expect(err).toMatch(
    /Interrupted; \d jobs? added\. Run it again to add the rest: nothing is added twice/,
  );
});

test("search finds by errors and by indexed values", async () => {
  const id = await finish("wells", "The sensor timed out");
  expect((await jobs(["search", "SENSOR TIMED", "--ids"])).out).toBe(`${id}\n`);
  await client.getQueue("wells").configure({ indexedPaths: ["data.well"] });
  const { id: found } = await client.jobs.add("wells", { data: { well: "W-7" } });
  expect((await jobs(["search", "data.well=W-7", "-q", "wells", "--ids"])).out).toBe(`${found}\n`);
  expect((await jobs(["search", "data.other=1", "-q", "wells"])).code).toBe(2);
});

test("cancel, retry and remove take ids, standard input and filters", async () => {
  const { outcomes } = await client.getQueue("lamps").addMany([{}, {}, {}, {}]);
  const ids = outcomes.map(({ id }) => id as string);
  expect(await json("cancel", ids[0] as string, "--reason", "sold out")).toMatchObject({
    state: "cancelled",
  });
  expect((await jobs(["cancel", ids[0] as string])).code).toBe(7);
  const some = await jobs(["cancel", "-"], { input: `${ids[0]} ${ids[1]}\n99999\n` });
  expect(some.out).toBe(`${ids[1]}\n`);
  expect(some).toMatchObject({ code: 1 });
  expect(some.err).toContain("jobs: 1 of 3 jobs cancelled");
  const asked = await jobs(["cancel", "-q", "lamps", "-s", "waiting"]);
  expect(asked).toMatchObject({
    code: 2,
    err: "jobs: Cancel 2 jobs? Say --yes, as nobody can be asked here\n",
  });
  expect((await jobs(["cancel", "-q", "lamps", "-s", "waiting", "-y"])).out).toBe(
    "2 jobs cancelled\n",
  );
  expect((await jobs(["remove", ids[0] as string])).out).toBe(`Job ${ids[0]} removed\n`);
  expect(await json("remove", "-q", "lamps", "--yes")).toMatchObject({ applied: 3, done: true });
  expect((await jobs(["remove"])).code).toBe(2);
  expect((await jobs(["remove", "1", "-q", "x"])).err).toBe(
    "jobs: Give ids or conditions, not both\n",
  );
});

test("the dead-letter queue is listed, grouped by errors, and tried again", async () => {
  const ids = [];
  for (const n of [1, 2]) ids.push(await finish("letters", `Mailbox ${n} is full`));
  expect((await jobs(["dlq", "-q", "letters", "--ids"])).out.trim().split("\n").sort()).toEqual(
    ids.toSorted(),
  );
  const { items } = await json<{ items: { group: string; count: number }[] }>(
    "dlq",
    "errors",
    "-q",
    "letters",
  );
  expect(items).toMatchObject([{ count: 2 }]);
  const group = items[0]?.group ?? "";
  // One that has not failed is not meant.
  await client.jobs.add("letters", {});
  expect((await jobs(["dlq", "retry", "-q", "letters"])).err).toContain("Retry 2 jobs?");
  expect((await jobs(["dlq", "retry", "--error-group", group, "-q", "letters", "-y"])).out).toBe(
    "2 jobs to run again\n",
  );
  expect((await jobs(["retry", ids[0] as string])).code).toBe(7);
});

test("logs, events and jobs are told as they come", async () => {
  const { id } = await client.jobs.add("talk", {});
  const watch = server.start(["watch", id, "--json", "--debug"]);
  const tail = server.start(["tail", "-q", "talk", "-n", "0", "--json", "--debug"]);
  const said = (stream: NodeJS.ReadableStream | null, pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      let text = "";
      stream?.on("data", (piece: Buffer) => {
        text += piece.toString();
        if (pattern.test(text)) resolve();
      });
    });
  const told = said(tail.child.stdout, new RegExp(`"id":"${id}"`));
  await Promise.all([watch, tail].map(({ child }) => said(child.stderr, /\/events\?\S*: 200/)));
  const { items } = await client.call("pullJobs", { body: { queues: ["talk"] } });
  const lease = items[0]?.lease ?? "";
  await client.call("writeLogs", {
    body: { items: [{ id, lease, lines: ["one", "\u001B[2Jtwo"] }] },
  });
  expect((await jobs(["logs", id])).out).toMatch(/^\S+ {2}one\n\S+ {2}\\u001b\[2Jtwo\n$/);
  await client.call("ackJobs", { body: { items: [{ id, lease }] } });
  const watched = (await watch.ended).out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string });
  expect(watched.map(({ type }) => type)).toEqual(["job.started", "job.completed"]);
  await told;
  tail.child.kill("SIGINT");
  expect((await tail.ended).code).toBe(130);
  expect((await jobs(["tail", "-q", "talk", "--no-follow"])).out).toContain(
    `completed  ${id}  talk`,
  );
  expect((await jobs(["logs", id, "--follow", "--json"])).out.trim().split("\n")).toHaveLength(2);
});

test("schedules are added, changed, run, removed; a preview shows clock changes", async () => {
  const args = ["schedules", "add", "morning", "30 6 * * *", "albums", '{"page":1}'];
  expect(await json(...args, "--timezone", "Europe/Madrid", "--attempts", "3")).toMatchObject({
    name: "morning",
    job: { queue: "albums", data: { page: 1 }, maxAttempts: 3 },
  });
  expect((await jobs(args)).code).toBe(7);
  expect((await jobs(["schedules"])).out).toMatch(
    /^morning\t30 6 \* \* \*\tEurope\/Madrid\talbums\tenabled/m,
  );
  expect(await json("schedules", "update", "morning", "--disable", "--data", "[2]")).toMatchObject({
    enabled: false,
    job: { queue: "albums", data: [2], maxAttempts: 3 },
  });
  const { id } = await json<{ id: string }>("schedules", "run", "morning");
  expect(await client.jobs.get(id)).toMatchObject({ queue: "albums", data: [2] });
  const preview = await jobs([
    "schedules",
    "preview",
    "morning",
    "-n",
    "3",
    "--from",
    "2026-03-27T12:00:00Z",
  ]);
  expect(preview.out).toBe(
    "2026-03-28T06:30:00+01:00\t2026-03-28T05:30:00.000Z\t-\n" +
      "2026-03-29T06:30:00+02:00\t2026-03-29T04:30:00.000Z\t+01:00 to +02:00\n" +
      "2026-03-30T06:30:00+02:00\t2026-03-30T04:30:00.000Z\t-\n",
  );
  expect(await json("schedules", "preview", "0 0 * * *", "-n", "1")).toMatchObject({
    runs: [{ clockChange: null }],
  });
  expect((await jobs(["schedules", "preview", "x y z"])).code).toBe(2);
  expect((await jobs(["schedules", "remove", "morning"])).out).toBe("morning is removed\n");
  expect((await jobs(["schedules", "show", "morning"])).code).toBe(3);
});

test("webhooks are added, tested, their deliveries shown and sent again", async () => {
  let heard = 0;
  const receiver = createServer((request, response) => {
    heard++;
    request.resume();
    response.end("thanks");
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void receiver.close());
  const address = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
  const { id } = await json<{ id: string }>(
    "webhooks",
    "add",
    address,
    "-e",
    "job.failed",
    "--secret",
    "s3cr3t",
  );
  expect((await jobs(["webhooks"])).out).toMatch(
    new RegExp(`^${id}\\t${address}\\tjob.failed\\t-\\tyes\\tenabled`, "m"),
  );
  await json("webhooks", "test", id);
  await expect.poll(() => heard).toBe(1);
  const deliveries = () =>
    json<{ items: { id: string; state: string }[] }>("webhooks", "deliveries", id);
  await expect.poll(async () => (await deliveries()).items).toMatchObject([{ state: "delivered" }]);
  const [delivery] = (await deliveries()).items;
  expect((await jobs(["webhooks", "delivery", id, delivery?.id ?? ""])).out).toContain("thanks");
  await json("webhooks", "replay", id, delivery?.id ?? "");
  await expect.poll(() => heard).toBe(2);
  expect(await json("webhooks", "update", id, "--disable")).toMatchObject({ enabled: false });
  expect((await jobs(["webhooks", "remove", id])).code).toBe(0);
  expect((await jobs(["webhooks", "show", id])).code).toBe(3);
});

test("figures, workers and nodes", async () => {
  await finish("figures");
  expect(await json("stats", "-q", "figures", "--last", "1h", "--by", "queue")).toMatchObject({
    total: { added: 1, completed: 1 },
    groups: [{ key: "figures" }],
  });
  expect((await jobs(["stats"])).out).toMatch(/^all\t\d+/m);
  const metrics = (await jobs(["metrics", "--per-queue", "-q", "figures"])).out;
  expect(metrics).toMatch(/^figures\t\S+Z\t1\t1\t0/m);
  // Every line is a row.
  for (const row of metrics.trimEnd().split("\n")) expect(row.split("\t")).toHaveLength(8);
  expect((await jobs(["nodes"])).out).toMatch(/yes/);
  expect((await json<{ items: unknown[] }>("workers")).items.length).toBeGreaterThan(0);
});

test("doctor finds nothing here, a server that is away, and a bad token", async () => {
  const well = await jobs(["doctor"], { env: { DATA_DIR: server.dataDir } });
  expect(well.out).toMatch(/^\S+ +disk: [\d.]+ [kMGT]?B are free in /m);
  expect(well.out).toMatch(/^ok {7}token: .*may read, operate, administer, system$/m);
  const away = await jobs(["doctor", "--json", "--url", "http://127.0.0.1:9"]);
  expect(away.code).toBe(1);
  expect(JSON.parse(away.out)).toMatchObject({
    ok: false,
    checks: [{}, {}, { check: "server", state: "fault" }],
  });
  expect((await jobs(["doctor", "--token", "forged"])).out).toMatch(/^FAULT {4}token: /m);
});

test("doctor minds a disk that is nearly full", () => {
  const dataDir = "/data";
  expect(diskCheck({ dataDir, free: 2e9, used: 1e9 })).toEqual({
    check: "disk",
    state: "ok",
    told: "2.0 GB are free in /data",
  });
  const short = diskCheck({ dataDir, free: 2e9, used: 3e9 });
  expect(short).toMatchObject({
    state: "warning",
    mend: expect.stringContaining("DATA_DIR") as string,
  });
  expect(diskCheck({ dataDir, free: 4e8, used: 1 })).toMatchObject({ state: "fault" });
});

test("a backup is made while the server serves, and restored", async () => {
  const { id } = await client.jobs.add("kept", { data: "treasure" });
  const DATA_DIR = await folder();
  const file = join(DATA_DIR, "copy.db");
  expect((await jobs(["backup", file])).out).toMatch(/copy\.db, [\d.]+ [kM]B\n$/);
  expect((await readFile(file)).toString("latin1", 0, 15)).toBe("SQLite format 3");
  expect((await jobs(["backup", file])).code).toBe(2);
  expect((await jobs(["backup", "/nowhere/copy.db"])).code).toBe(2);
  const served = await start(["restore", file, "--yes"], { env: { DATA_DIR: server.dataDir } })
    .ended;
  expect(served).toMatchObject({ code: 1, out: "" });
  const restored = await start(["restore", file, "--yes"], { env: { DATA_DIR } }).ended;
  expect(restored).toMatchObject({ code: 0, err: "" });
  expect(restored.out).toMatch(/jobyard\.db has \d+ jobs now/);
  expect(Number(id)).toBeGreaterThan(0);
});

test("bench measures and leaves one empty queue", async () => {
  const { phases } = await json<{ phases: object[] }>("bench", "-n", "200", "-c", "8", "-b", "10");
  expect(phases).toMatchObject([
    { phase: "add", jobs: 200 },
    { phase: "finish", jobs: 200 },
  ]);
  const left = async () =>
    (await client.queues.list()).filter(({ name }) => name.includes("bench"));
  const [only, ...more] = await left();
  expect(more).toEqual([]);
  expect(Object.values(only?.counts ?? {}).every((count) => count === 0)).toBe(true);
  // Where another one is at work, it does not take its jobs.
  await client.jobs.add("jobyard-bench", {});
  const beside = await jobs(["bench", "-n", "1"]);
  expect(beside).toMatchObject({ code: 7, out: "" });
  expect(beside.err).toContain("another bench runs, or was cut off");
  expect(await left()).toMatchObject([{ counts: { waiting: 1, active: 0 } }]);
});

test("completions are scripts that bash, zsh and fish take, and complete", async () => {
  const { out } = await start(["completion", "bash"]).ended;
  const script = join(await folder(), "completion.bash");
  await writeFile(script, out);
  const ask = `source ${script}; COMP_WORDS=(jobs queues dr); COMP_CWORD=2; _jobs; echo "\${COMPREPLY[@]}"
COMP_WORDS=(jobs --json schedules upd); COMP_CWORD=3; _jobs; echo "\${COMPREPLY[@]}"
COMP_WORDS=(jobs list --err); COMP_CWORD=2; _jobs; echo "\${COMPREPLY[@]}"`;
  const { stdout } = await promisify(execFile)("bash", ["-euc", ask]);
  expect(stdout).toBe("drain\nupdate\n--error --error-group\n");
  const [zsh = "", fish = ""] = await Promise.all(
    ["zsh", "fish"].map(async (shell) => {
      const file = join(await folder(), `completion.${shell}`);
      await writeFile(file, (await start(["completion", shell]).ended).out);
      await promisify(execFile)(shell, ["-n", file]);
      return file;
    }),
  );
  const asked = `source ${fish}; complete -C "jobs queues dr"; complete -C "jobs list --err"`;
  const told = await promisify(execFile)("fish", ["--no-config", "-c", asked]);
  expect(told.stdout.match(/^\S+/gm)).toEqual(["drain", "--error", "--error-group"]);
  // Where zsh asks for words, those of the place are told.
  const words = `_describe() { print -l -- "\${(@)choices%%:*}" }; words=(jobs queues dr); CURRENT=3; source ${zsh}; _jobs`;
  const zshTold = await promisify(execFile)("zsh", ["-fc", `compdef() { : }; ${words}`]);
  expect(zshTold.stdout.split("\n")).toEqual(expect.arrayContaining(["drain", "--json"]));
  expect((await start(["completion", "tcsh"]).ended).code).toBe(2);
});

test.for(["\u0003", "\u0004"])("%j at a question ends it, and nothing is done", async (key) => {
  const queue = `asked-${key.charCodeAt(0)}`;
  await client.getQueue(queue).add({});
  const node = `"${process.execPath}" --conditions=@jobyard/source`;
  const command = `${node} apps/cli/src/main.ts queues drain ${queue}`;
  const child = execFile("script", ["-qec", command, "/dev/null"], {
    env: { ...childEnv, HOME: "/nonexistent", JOBS_URL: server.url },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const closed = once(child, "close");
  let out = "";
  for await (const piece of child.stdout!) {
    const asked = out.includes("[y/N]");
    out += String(piece);
    if (!asked && out.includes("[y/N]")) child.stdin!.write(key);
  }
  expect(await closed).toEqual([130, null]);
  expect(out).toMatch(/jobs: Interrupted; nothing was done\r?\n$/);
  expect(await json("queues", "show", queue)).toMatchObject({ counts: { waiting: 1 } });
});

test("on a terminal there are a header, colours and a width", async () => {
  await finish("screens", "No signal");
  const command = `"${process.execPath}" --conditions=@jobyard/source apps/cli/src/main.ts list -q screens`;
  const run = async (env: Record<string, string>) =>
    (
      await promisify(execFile)("script", ["-qec", `stty cols 60; ${command}`, "/dev/null"], {
        env: {
          ...childEnv,
          HOME: "/nonexistent",
          TERM: "xterm",
          JOBS_URL: server.url,
          ...env,
        },
      })
    ).stdout;
  const coloured = await run({});
  expect(coloured).toContain("\u001B[31m");
  expect(coloured).toMatch(/QUEUE/);
  const plain = await run({ NO_COLOR: "1" });
  expect(plain).not.toContain("\u001B");
  for (const line of plain.split(/\r?\n/)) expect(line.length).toBeLessThanOrEqual(60);
});
