/** The programs that a benchmark starts. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import type { Figures } from "./measure.ts";

/** Runs one program of this folder to its end and reads the figures it prints. */
export async function run(program: string, args: readonly string[]): Promise<Figures> {
  const file = new URL(program, import.meta.url).pathname;
  const flags = ["--expose-gc", "--conditions=@jobyard/source"];
  const child = spawn(process.execPath, [...flags, file, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${program} ${args[0]} ended with ${code}`);
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as Figures;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export async function startRedis(folder: string, port: number): Promise<ChildProcess> {
  const redis = spawn(
    "redis-server",
    ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""].concat([
      "--appendonly",
      "yes",
      "--appendfsync",
      "everysec",
    ]),
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  for await (const line of redis.stdout.setEncoding("utf8")) {
    if (String(line).includes("Ready to accept connections")) break;
  }
  redis.stdout.resume();
  return redis;
}
