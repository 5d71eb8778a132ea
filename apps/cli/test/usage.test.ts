import { execFile } from "node:child_process";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Jobyard } from "@jobyard/sdk";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import about from "../package.json" with { type: "json" };
import { connectionOf, writeProfiles } from "../src/profiles.ts";
import { main, serve, start } from "./running-cli.ts";

const server = await serve();
const { jobs } = server;
const jobsOf = (queue: string) =>
  new Jobyard({ baseURL: server.url }).jobs.page({ queue: [queue], limit: 0 });

/** Answers every call with what a test wants. */
let answer = { status: 200, body: "{}" };
let fake: HttpServer;
let fakeUrl = "";

beforeAll(async () => {
  fake = createServer((request, response) => {
    request.resume();
    response.writeHead(answer.status, { "Content-Type": "application/json" });
    response.end(answer.body);
  });
  await new Promise<void>((resolve) => fake.listen(0, "127.0.0.1", resolve));
  fakeUrl = `http://127.0.0.1:${(fake.address() as AddressInfo).port}`;
});

afterAll(() => void fake.close());

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "jobyard-cli-usage-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

test("version and help go to standard output", async () => {
  const version = await jobs(["--version"]);
  expect(version).toEqual({ code: 0, out: `${about.version}\n`, err: "" });
  const help = await jobs([]);
  expect(help).toMatchObject({ code: 0, err: "" });
  expect(help.out).toContain("Usage: jobs");
  const one = await jobs(["help", "add"]);
  expect(one.code).toBe(0);
  expect(one.out).toContain("--idempotency-key <key>");
  expect(one.out).toContain("--json");
  expect((await jobs(["help", "queues", "drain"])).out).toContain("Usage: jobs queues drain");
  const group = await jobs(["queues", "--help"]);
  expect(group.out).toContain("pause");
});

test.for([
  [["lst"], 2, /Unknown command 'lst' \(Did you mean list\?\)/],
  [["queues", "lst"], 2, /Unknown command 'lst' \(Did you mean list\?\)/],
  [["list", "--qeue", "x"], 2, /Unknown option '--qeue' \(Did you mean --queue\?\)/],
  [["list", "--state", "done"], 2, /argument 'done' is invalid. Give waiting, .* or cancelled/],
  [["list", "--limit", "0"], 2, /Give a whole number from 1 to 1000/],
  [["list", "--since", "soon"], 2, /Give a moment such as/],
  [["get"], 2, /Missing required argument 'id'/],
  [["get", "12345"], 3, /Job 12345 not found/],
  [["get", "nonsense"], 3, /not found/],
  [["queues", "show", "nowhere"], 3, /nowhere/],
  [["queues", "show", ".."], 2, /queue cannot be "\.\."/],
  [["get", ""], 2, /id cannot be ""/],
  [["help", "quees"], 2, /Unknown command 'quees' \(Did you mean queues\?\)/],
  [["queues", "limit", "q", "fast"], 2, /Give a whole number from 1 to 1000000/],
  [
    ["add", "q", "{a: 1}"],
    2,
    /The data is not JSON: .*; quote it for your shell, or give @file or -/,
  ],
  [["add", "q", "@/nowhere/data.json"], 2, /\/nowhere\/data\.json: There is no such file/],
  [["add", "q", "@/"], 2, /A folder was named where a file is meant/],
  [["bulk", "/"], 2, /A folder was named where a file is meant/],
  [["add", "bad queue", "1"], 2, /queue: /],
  [["add", "q", "--delay", "5 minutes"], 2, /Give a duration such as 500ms, 30s/],
  [["add", "data_export", "{}"], 2, /datasetId: .*; .*format/],
  [["list", "--url", "localhost"], 2, /--url: localhost is no address of a server/],
  [
    ["list", "--url", "http://127.0.0.1:9"],
    5,
    /Cannot reach http:\/\/127\.0\.0\.1:9.*`jobs start`/,
  ],
  [["list", "--url", "http://me:hush@127.0.0.1:9"], 2, /^(?!.*hush).*takes no user and password/],
  [["list", "--token", "forged"], 4, /JOBS_TOKEN/],
  [["list", "--token", "one\ntwo"], 4, /copy it as a whole/],
  [["list", "--profile", "nope"], 2, /There is no profile nope in .*`jobs profiles set nope/],
  [["queues", "drain", "q"], 3, /q/],
] as const)("%j ends with %i in one clear line", async ([args, code, line]) => {
  // For people, and for programs.
  const [ended, told] = await Promise.all([jobs(args), jobs([...args, "--json"])]);
  expect(ended.err).toMatch(line);
  expect(ended).toMatchObject({ code, out: "" });
  expect(ended.err).toMatch(/^jobs: [^\n]+\n$/);
  const { error } = JSON.parse(told.err) as { error: { exitCode: number; message: string } };
  expect(told.code).toBe(code);
  expect(error.exitCode).toBe(code);
  expect(error.message).toMatch(line);
});

test("options that would have no effect, or contradict each other, are refused", async () => {
  const refused = [
    ["get 1 --data --result", "'--data' cannot be used with option '--result'"],
    ["get 1 --dependencies --attempts", "'--attempts' cannot be used with option '--dependencies'"],
    ["dlq list -s waiting", "Unknown option '-s'"],
    ["dlq retry --state failed -y", "Unknown option '--state'"],
    ["list --all -n 5", "'--all' cannot be used with option '-n, --limit <n>'"],
    ["list --count --order asc", "'--count' cannot be used with option '--order <order>'"],
    ["list --include data", "--include tells more with --json"],
    ["search broken --error gone", '"broken" is searched for as --error has it'],
    ["watch 1 -q sums", "Give ids or --queue, not both"],
    ["watch --after nope", "Give the `id` of an event that `jobs watch --json` printed"],
    ["schedules preview nightly --timezone UTC", "A schedule has its own time zone"],
    ["webhooks update 1 --enable --disable", "cannot be used with option '--disable'"],
    ["health --url http://localhost --profile p", "cannot be used with option '--profile <name>'"],
  ] as const;
  const told = refused.map(async ([line, message]) => {
    const { code, out, err } = await jobs(line.split(" "));
    return { line, code, out, told: err.includes(message) ? message : err };
  });
  expect(await Promise.all(told)).toEqual(
    refused.map(([line, message]) => ({ line, code: 2, out: "", told: message })),
  );
});

test.for([
  [500, "<h1>Bad gateway</h1>", 5, /answered with status 500/],
  [503, '{"error":"The service cannot serve this request now"}', 5, /cannot serve/],
  [200, "<html>", 5, /not JSON.*Name a Jobyard server/],
  [404, "Not here", 3, /status 404/],
  [403, '{"error":"Only ADMIN may","details":{"code":"AUTHORIZATION_ERROR"}}', 4, /token show/],
  [429, '{"error":"Too many","details":{"code":"QUEUE_FULL"}}', 7, /Too many/],
] as const)("an answer %i %s is told in one line", async ([status, body, code, line]) => {
  answer = { status, body };
  const ended = await start(["token", "show", "--url", fakeUrl]).ended;
  expect(ended.err).toMatch(line);
  expect(ended).toMatchObject({ code, out: "" });
  expect(ended.err).toMatch(/^jobs: [^\n]+\n$/);
});

test("--debug tells the calls, the details and where it happened", async () => {
  const { code, err } = await jobs(["get", "12345", "--debug"]);
  expect(code).toBe(3);
  expect(err).toMatch(/debug: GET http\S+\/jobs\/12345: 404, \d+ ms/);
  expect(err).toContain('"code":"JOB_NOT_FOUND"');
  expect(err).toMatch(/\n {4}at /);
});

test("profiles: made, listed, chosen, removed; tokens stay in the file and with their address", async () => {
  const XDG_CONFIG_HOME = await folder();
  const env = { XDG_CONFIG_HOME, JOBS_URL: "" };
  const run = (...args: string[]) => jobs(args, { env });
  const set = await run("profiles", "set", "here", "--url", server.url, "--token", "not-a-token");
  expect(set.code).toBe(0);
  const file = join(XDG_CONFIG_HOME, "jobyard", "config.json");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  // The first one is the default, with its token, which is a bad one.
  expect((await run("health")).code).toBe(4);
  // Elsewhere its token is not sent.
  expect((await run("health", "--url", server.url)).code).toBe(0);
  await run("profiles", "set", "open", "--url", server.url);
  expect((await run("health", "--profile", "open")).code).toBe(0);
  expect((await jobs(["health"], { env: { ...env, JOBS_PROFILE: "open" } })).code).toBe(0);
  await run("profiles", "use", "open");
  expect((await run("health")).code).toBe(0);
  const listed = await run("profiles");
  expect(listed.out).toBe(`here\t${server.url}\tyes\t-\t-\nopen\t${server.url}\tno\t-\tyes\n`);
  expect(listed.out).not.toContain("not-a-token");
  expect((await run("profiles", "remove", "here")).code).toBe(0);
  expect((await run("profiles", "remove", "here")).code).toBe(3);
  await writeFile(file, "{ nonsense");
  const broken = await run("health");
  expect(broken.code).toBe(2);
  expect(broken.err).toContain(`${file} is not JSON`);
  await writeFile(file, '{"profiles":{"x":{}}}');
  expect((await run("health")).err).toContain("profile x must have a `url`");
});

test("an option counts before the environment, and the environment before the profile", async () => {
  const env = { XDG_CONFIG_HOME: await folder(), JOBS_PROFILE: "p" };
  const profile = { url: "http://profile", token: "of-file", tenant: "of-file" };
  await writeProfiles(env, { profiles: { p: profile } });
  expect(await connectionOf({}, env)).toMatchObject(profile);
  const set = { ...env, JOBS_TOKEN: "of-env", JOBS_TENANT: "of-env" };
  expect(await connectionOf({}, set)).toMatchObject({
    url: "http://profile",
    token: "of-env",
    tenant: "of-env",
  });
  expect(await connectionOf({ token: "of-option" }, set)).toMatchObject({
    token: "of-option",
    tenant: "of-env",
  });
  const named = { ...set, JOBS_URL: "http://env" };
  expect(await connectionOf({}, named)).toMatchObject({ url: "http://env", token: "of-env" });
  expect(await connectionOf({ profile: "p" }, named)).toMatchObject({ url: "http://profile" });
});

test("an old Node is told of", async () => {
  const versions = "Object.defineProperty(process,'versions',{value:{node:'20.1.0'}})";
  const NODE_OPTIONS = `--import=data:text/javascript,${versions}`;
  expect(await jobs(["health"], { env: { NODE_OPTIONS } })).toEqual({
    code: 2,
    out: "",
    err: "jobs: Node 24 or newer is needed; this is 20.1.0\n",
  });
});

test("an output that takes nothing is told in one line, and is no success", async () => {
  const jobs = `"${process.execPath}" --conditions=@jobyard/source "${main}"`;
  const { stdout, stderr } = await promisify(execFile)("bash", [
    "-c",
    `${jobs} --help > /dev/full; echo $?`,
  ]);
  expect(stdout).toBe("1\n");
  expect(stderr).toMatch(/^jobs: Standard output cannot be written: .*no space left[^\n]*\n$/);
});

test("`| head` ends quietly", async () => {
  const jobs = `"${process.execPath}" --conditions=@jobyard/source "${main}"`;
  const { stderr } = await promisify(execFile)("bash", ["-c", `${jobs} --help | head -n 1`]);
  expect(stderr).toBe("");
});

test("where nobody reads, the exit code still tells, and what was asked is done", async () => {
  const jobs = `"${process.execPath}" --conditions=@jobyard/source "${main}" --url ${server.url}`;
  const script = `${jobs} get 99999 2>&1 | true; echo "\${PIPESTATUS[0]}"
yes '{}' | head -n 30 | ${jobs} bulk -q unread --batch-size 2 --json | head -n 1 > /dev/null; echo "\${PIPESTATUS[2]}"`;
  const { stdout, stderr } = await promisify(execFile)("bash", ["-c", script]);
  expect({ stdout, stderr }).toEqual({ stdout: "3\n0\n", stderr: "" });
  expect((await jobsOf("unread")).total).toBe(30);
});
