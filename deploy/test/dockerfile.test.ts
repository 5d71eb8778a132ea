import { type ChildProcess, execFile } from "node:child_process";
import { once } from "node:events";
import { globSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { DockerfileParser } from "dockerfile-ast";
import { validate } from "dockerfile-utils";
import { expect, onTestFinished, test } from "vitest";
import { testRedis } from "../../apps/api/test/running-process.ts";
import { parse } from "yaml";
import { buildImages, enter, ignoring, type Image, innerPid, volume } from "./image.ts";

const root = join(import.meta.dirname, "../..");
const dockerfile = join(root, "deploy/Dockerfile");
const text = readFileSync(dockerfile, "utf8");
const instructions = DockerfileParser.parse(text).getInstructions();
const said = (keyword: string): string[] =>
  instructions
    .filter((one) => one.getKeyword() === keyword)
    .map((one) => one.getRawArgumentsContent() ?? "");

test("the Dockerfile is one, and its images may do little", () => {
  expect(validate(text)).toEqual([]);
  const stages = said("FROM").map((from) => from.split(" AS "));
  expect(stages.map(([, name]) => name)).toEqual(["build", "runtime", "api", "worker"]);
  // The versions that the repository itself uses, exactly.
  const { devDependencies, packageManager } = JSON.parse(
    readFileSync(join(root, "package.json"), "utf8"),
  ) as { devDependencies: Record<string, string>; packageManager: string };
  const base = `node:${devDependencies["node"]}-bookworm-slim`;
  expect(stages.map(([image]) => image)).toEqual([base, base, "runtime", "runtime"]);
  for (const [pnpm] of text.matchAll(/pnpm@[\d.]+/g)) expect(pnpm).toBe(packageManager);
  expect(said("USER")).toEqual(["1000:1000"]);
  expect(said("VOLUME")).toEqual(["/data"]);
  expect(said("STOPSIGNAL")).toEqual(["SIGTERM"]);
  expect(said("HEALTHCHECK")).toHaveLength(2);
  // In the form that starts no shell, which would keep signals to itself.
  for (const command of [...said("CMD"), ...said("HEALTHCHECK")])
    expect(command).toMatch(/\["node", /);
  expect(text).not.toMatch(/^(ADD|ARG)\b/m);
});

test("only what a build needs reaches it", () => {
  const lines = readFileSync(join(root, ".dockerignore"), "utf8").split("\n");
  const patterns = lines.filter((line) => line !== "" && !line.startsWith("#"));
  expect(patterns[0]).toBe("*");
  for (const secret of ["**/.env*", "**/.data", "**/node_modules"])
    expect(patterns).toContain(secret);
  // Every member of the workspace, which the lockfile knows, has to be there.
  const workspace = parse(readFileSync(join(root, "pnpm-workspace.yaml"), "utf8")) as {
    readonly packages: readonly string[];
  };
  const members = workspace.packages.flatMap((glob) =>
    globSync(`${glob}/package.json`, { cwd: root }),
  );
  expect(members.length).toBeGreaterThan(6);
  const ignored = ignoring(readFileSync(join(root, ".dockerignore"), "utf8"));
  expect(members.filter((file) => ignored(file))).toEqual([]);
  for (const file of ["deploy/.env", "apps/api/.data/jobyard.db", "docs/sdk.md", ".git/config"]) {
    expect(ignored(file), file).toBe(true);
  }
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

interface Container {
  readonly child: ChildProcess;
  readonly ready: Promise<unknown>;
  readonly ended: Promise<unknown>;
  healthy(): Promise<boolean>;
  terminate(): void;
}

/** As an engine does it: read-only, with a volume, by its CMD and its user. */
async function startContainer(
  image: Image,
  env: Readonly<Record<string, string>>,
  data: string,
): Promise<Container> {
  const options = { env, binds: { "/data": data }, readonly: true };
  const child = enter(image, image.cmd, options);
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  const ready = new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface(stream).on("line", (line) => {
        output += `${line}\n`;
        if (/is ready/.test(line)) resolve(line);
      });
    }
    child.once("exit", (code) => reject(new Error(`Ended with ${code}:\n${output}`)));
  });
  return {
    child,
    ready,
    ended: once(child, "exit"),
    async healthy() {
      const check = enter(image, image.healthcheck, options);
      return ((await once(check, "exit")) as [number])[0] === 0;
    },
    terminate: () => void process.kill(innerPid(child), "SIGTERM"),
  };
}

async function imagesAreBuiltAndServe(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("Needs root, to mount what the images are made of");
  const folder = await mkdtemp(join(tmpdir(), "jobyard-images-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const { stdout: store } = await promisify(execFile)("npx", ["-y", "pnpm@12", "store", "path"]);
  const images = await buildImages({
    dockerfile,
    context: root,
    folder: join(folder, "stages"),
    cacheAt: () => join(store.trim(), ".."),
  });
  const api = images.get("api") as Image;
  const worker = images.get("worker") as Image;
  for (const image of [api, worker]) {
    const place = join(image.folder, image.workdir);
    const there = globSync("node_modules/.pnpm/*", { cwd: place }).join("\n");
    expect(there).toMatch(/bullmq@/);
    expect(there).not.toMatch(/\/(vitest|typescript|tsup|turbo|oxlint|fast-check|knip)@/);
    expect(globSync("src", { cwd: place })).toEqual([]);
    const { stdout } = await promisify(execFile)("du", ["-sm", place]);
    expect(parseInt(stdout, 10)).toBeLessThan(450);
  }

  const { url: REDIS_URL } = await testRedis();
  const [http, flashq, tcp, grpc, health] = await Promise.all(Array.from({ length: 5 }, freePort));
  const token = "of-somebody";
  const env = { REDIS_URL, API_TOKENS: token, JWT_SECRET: "x".repeat(32) };
  const data = await volume(api, "/data", folder);
  const service = await startContainer(
    api,
    {
      ...env,
      INLINE_WORKER: "false",
      HTTP_PORTS: `${http},${flashq}`,
      TCP_PORT: String(tcp),
      GRPC_PORT: String(grpc),
    },
    data,
  );
  await service.ready;
  const runner = await startContainer(worker, { ...env, WORKER_PORT: String(health) }, data);
  await runner.ready;
  expect(await Promise.all([service.healthy(), runner.healthy()])).toEqual([true, true]);

  const call = async (path: string, init: RequestInit = {}) => {
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch(`http://127.0.0.1:${http}${path}`, { ...init, headers });
    expect(response.status, path).toBeLessThan(300);
    return ((await response.json()) as { data: Record<string, never> }).data;
  };
  const add = async (type: string, data: object): Promise<string> =>
    (await call("/api/v1/jobs", { method: "POST", body: JSON.stringify({ type, data }) }))[
      "jobId"
    ] ?? "";
  const ended = async (id: string) => {
    const body = JSON.stringify({ timeout: 60_000 });
    return call(`/api/v1/jobs/${id}/wait`, { method: "POST", body });
  };
  // On a thread; in a process of its own, on a file of the volume.
  await call("/api/native/files/a.csv", { method: "PUT", body: "n,mail\n1,a@example.com\n" });
  const short = await add("sentiment_analysis_batch", { texts: ["Lovely."] });
  const file = await add("file_processing", { filePath: "a.csv", datasetId: crypto.randomUUID() });
  for (const id of [short, file]) expect(await ended(id)).toMatchObject({ status: "completed" });

  // What runs when it is told to stop, ends.
  const texts = Array.from({ length: 2000 }, (_, i) =>
    `Splendid, though dear, no. ${i}. `.repeat(60),
  );
  const last = await add("sentiment_analysis_batch", { texts });
  await expect.poll(async () => (await call(`/api/v1/jobs/${last}`))["status"]).toBe("running");
  runner.terminate();
  await expect.poll(() => runner.healthy()).toBe(false);
  expect(await runner.ended).toEqual([0, null]);
  expect(await ended(last)).toMatchObject({ status: "completed" });
  service.terminate();
  expect(await service.ended).toEqual([0, null]);
}

// Minutes of installing and building.
test.each(process.env["JOBYARD_LONG"] === "1" ? ["api and worker"] : [])(
  "the Dockerfile's steps make images that serve, are healthy and drain: %s",
  imagesAreBuiltAndServe,
);
