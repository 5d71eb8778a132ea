/**
 * Runs the steps of a Dockerfile without a container engine: each in a root file system of its own, made of this machine's
 * programs, which are read-only there, and of what the steps have written. Needs root, for mounts.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync } from "node:fs";
import { chmod, cp, mkdir, readFile } from "node:fs/promises";
import { basename, dirname, join, matchesGlob, posix, relative } from "node:path";
import {
  type Copy,
  DockerfileParser,
  type Env,
  type From,
  type Healthcheck,
  type Instruction,
  type JSONInstruction,
} from "dockerfile-ast";

export interface Image {
  /** Its root file system, where the steps have left something. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** `uid:gid` */
  readonly user: string;
  readonly workdir: string;
  readonly volumes: readonly string[];
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
}

interface Options {
  readonly dockerfile: string;
  /** What is built: the repository. */
  readonly context: string;
  /** Empty, for all that is made. */
  readonly folder: string;
  /** In place of a cache mount, by its target inside: a folder of this machine. */
  readonly cacheAt: (target: string) => string;
}

/** All stages, by their names. */
export async function buildImages(options: Options): Promise<ReadonlyMap<string, Image>> {
  const { dockerfile, folder } = options;
  const text = readFileSync(dockerfile, "utf8");
  const images = new Map<string, Image>();
  let name = "";
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction.getKeyword() === "FROM") {
      const from = instruction as From;
      name = from.getBuildStage() ?? "";
      images.set(name, await begin(join(folder, name), images.get(from.getImage() ?? "")));
    } else {
      const image = images.get(name) as Image;
      images.set(name, await step(instruction, image, images, options));
    }
  }
  return images;
}

async function begin(folder: string, base: Image | undefined): Promise<Image> {
  await mkdir(folder, { recursive: true });
  if (base !== undefined) {
    await copyTree(`${base.folder}/.`, folder);
    return { ...base, folder };
  }
  await mkdir(join(folder, "root"));
  const none = { user: "0:0", workdir: "/", volumes: [], cmd: [], healthcheck: [] };
  return {
    ...none,
    folder,
    env: { PATH: "/node:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
  };
}

async function step(
  instruction: Instruction,
  image: Image,
  images: ReadonlyMap<string, Image>,
  options: Options,
): Promise<Image> {
  const keyword = instruction.getKeyword();
  const args = instruction.getArguments().map((arg) => arg.getValue());
  switch (keyword) {
    case "ENV": {
      const set = (instruction as Env).getProperties();
      const added = set.map((property) => [property.getName(), property.getValue() ?? ""]);
      return { ...image, env: { ...image.env, ...Object.fromEntries(added) } };
    }
    case "WORKDIR": {
      const workdir = posix.resolve(image.workdir, args[0] ?? "");
      await mkdir(join(image.folder, workdir), { recursive: true });
      return { ...image, workdir };
    }
    case "USER":
      return { ...image, user: args[0] ?? "" };
    case "VOLUME":
      return { ...image, volumes: [...image.volumes, ...args] };
    case "CMD":
      return { ...image, cmd: jsonOf(instruction as JSONInstruction) };
    case "HEALTHCHECK": {
      const check = (instruction as Healthcheck).getRawArgumentsContent() ?? "";
      const healthcheck = JSON.parse(check.slice(check.indexOf("["))) as string[];
      return { ...image, healthcheck };
    }
    case "COPY":
      await copy(instruction as Copy, args, image, images, options);
      return image;
    case "RUN":
      await runStep(instruction as JSONInstruction, image, options);
      return image;
    case "EXPOSE":
    case "LABEL":
    case "STOPSIGNAL":
      return image;
    default:
      throw new Error(`${keyword} is not known here: ${instruction.toString()}`);
  }
}

function jsonOf(instruction: JSONInstruction): readonly string[] {
  return instruction.getJSONStrings().map((one) => one.getJSONValue());
}

async function copy(
  instruction: Copy,
  args: readonly string[],
  image: Image,
  images: ReadonlyMap<string, Image>,
  { context }: Options,
): Promise<void> {
  const from = instruction.getFromFlag()?.getValue();
  const [source = "", target = "", ...more] = args;
  if (more.length > 0) throw new Error(`More than one source: ${instruction.toString()}`);
  const to = join(image.folder, posix.resolve(image.workdir, target));
  if (typeof from === "string") {
    await copyTree(`${images.get(from)?.folder}${source}/.`, to);
  } else {
    const ignored = ignoring(await readFile(join(context, ".dockerignore"), "utf8"));
    await cp(join(context, source), to, {
      recursive: true,
      filter: (file) => !ignored(relative(context, file), statSync(file).isDirectory()),
    });
  }
}

/** As `cp -a` does it: links stay links. */
async function copyTree(from: string, to: string): Promise<void> {
  const [code] = (await once(spawn("cp", ["-a", from, to], { stdio: "inherit" }), "exit")) as [
    number,
  ];
  if (code !== 0) throw new Error(`cp -a ${from} ${to} ended with ${code}`);
}

/** What a .dockerignore keeps away: the last pattern that a file or a folder above it matches, decides. */
export function ignoring(text: string): (path: string, folder?: boolean) => boolean {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  // Here, stars take leading dots too.
  const plain = (path: string): string => path.replaceAll(/(^|\/)\./g, "$1dot:");
  const patterns = lines.map((line) => ({
    glob: plain(line.replace(/^!/, "")),
    keeps: line[0] === "!",
  }));
  return (path, folder = false) => {
    if (path === "") return false;
    const steps = stepsOf(plain(path));
    let ignored = false;
    for (const { glob, keeps } of patterns) {
      if (steps.some((one) => matchesGlob(one, glob))) ignored = !keeps;
      // On the way to what is kept.
      else if (
        folder &&
        keeps &&
        matchesGlob(steps.at(-1) ?? "", stepsOf(glob)[steps.length - 1] ?? "")
      ) {
        ignored = false;
      }
    }
    return ignored;
  };
}

/** `a/b/c`: `a`, `a/b`, `a/b/c`. */
function stepsOf(path: string): readonly string[] {
  return path.split("/").map((_, n, all) => all.slice(0, n + 1).join("/"));
}

async function runStep(
  instruction: JSONInstruction,
  image: Image,
  { cacheAt }: Options,
): Promise<void> {
  const binds: Record<string, string> = {};
  for (const flag of instruction.getFlags()) {
    const [, target = ""] = /^type=cache,target=(.+)$/.exec(flag.getValue() ?? "") ?? [];
    if (target === "") throw new Error(`Not known here: ${instruction.toString()}`);
    binds[target] = cacheAt(target);
  }
  const command = instruction.getRawArgumentsContent() ?? "";
  const child = enter(image, ["sh", "-ec", command], { binds, env: ofRegistry });
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`RUN ${command}\nended with ${code}:\n${output.slice(-4000)}`);
}

/** How this machine reaches its package registry. */
const ofRegistry = Object.fromEntries(
  Object.entries(process.env).filter(([name]) =>
    /^(npm_config_registry|NODE_EXTRA_CA_CERTS|SSL_CERT_\w+|https?_proxy|no_proxy)$/i.test(name),
  ),
) as Record<string, string>;

const script = String.raw`
set -eu
root=$1 user=$2 workdir=$3 readonly=$4 node=$5; shift 5
mount --make-rprivate /
mount --bind "$root" "$root"
for name in bin etc lib lib32 lib64 opt sbin usr; do
  if [ -L /$name ]; then ln -sfn "$(readlink /$name)" "$root/$name"
  elif [ -d /$name ]; then mkdir -p "$root/$name"; mount --bind -o ro /$name "$root/$name"
  fi
done
mkdir -p "$root/dev" "$root/proc" "$root/tmp" "$root/node"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind -o ro "$node" "$root/node"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
while [ "$1" != -- ]; do
  if [ -d "$2" ]; then mkdir -p "$root$1"; else touch "$root$1"; fi
  mount --bind "$2" "$root$1"
  shift 2
done
shift
if [ "$readonly" = yes ]; then mount -o remount,bind,ro "$root"; fi
exec chroot --userspec="$user" --groups="" "$root" \
  sh -ec 'cd "$0"; exec "$@"' "$workdir" "$@"
`;

/** Runs a command in an image, as the first process of its own; `readonly`: all but `binds` and /tmp. */
export function enter(
  image: Image,
  command: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>;
    /** Folders of this machine, by where they are inside. */
    readonly binds?: Readonly<Record<string, string>>;
    readonly readonly?: boolean;
  } = {},
): ChildProcess {
  const { env = {}, binds = {}, readonly = false } = options;
  const home = image.user.startsWith("0:") ? "/root" : "/home/node";
  const registry = join(process.env["HOME"] ?? "", ".npmrc");
  const inside = home === "/root" && existsSync(registry) ? { "/root/.npmrc": registry } : {};
  const mounts = Object.entries({ ...inside, ...binds });
  return spawn(
    "unshare",
    [
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      "sh",
      "-c",
      script,
      "sh",
      image.folder,
      image.user,
      image.workdir,
      readonly ? "yes" : "no",
      dirname(process.execPath),
      ...mounts.flat(),
      "--",
      ...command,
    ],
    { env: { HOME: home, ...env, ...image.env, ...env }, stdio: ["ignore", "pipe", "pipe"] },
  );
}

/** The first process inside, as this machine numbers it. */
export function innerPid({ pid }: ChildProcess): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim());
}

/** A folder that an image's user may write to, as an engine makes a volume. */
export async function volume(image: Image, path: string, folder: string): Promise<string> {
  const place = join(folder, basename(path));
  await copyTree(`${image.folder}${path}`, place);
  await chmod(place, 0o700);
  return place;
}
