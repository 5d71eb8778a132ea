import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { CliError } from "./errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A server by a name, in the configuration file. */
export interface Profile {
  readonly url: string;
  readonly token?: string;
  readonly tenant?: string;
}

export interface Profiles {
  /** Used where nothing else is named. */
  readonly default?: string;
  readonly profiles: Readonly<Record<string, Profile>>;
}

/** Which server is called, and as whom. */
export interface Connection {
  readonly url: string;
  readonly token: string | undefined;
  readonly tenant: string | undefined;
  /** Where the address comes from, for people. */
  readonly from: string;
}

export interface Wishes {
  readonly profile?: string;
  readonly url?: string;
  readonly token?: string;
  readonly tenant?: string;
}

const HERE = "http://localhost:3001";

/**
 * What is told first counts, of the server, the token and the tenant each by itself: an option, the environment, the file.
 * The server: --url or --profile, JOBS_URL, JOBS_PROFILE, the file's default, this machine. A profile's token goes to no
 * other address than the profile's.
 */
export async function connectionOf(wishes: Wishes, env: Environment): Promise<Connection> {
  const connection = await chosenConnection(wishes, env);
  const { token } = connection;
  if (token === undefined || /^[\u0021-\u007E]+$/.test(token)) return connection;
  const message =
    "The token has spaces, line ends or letters in it that no token has; copy it as a whole";
  throw new CliError("refused", message);
}

async function chosenConnection(wishes: Wishes, env: Environment): Promise<Connection> {
  const named = wishes.profile ?? (env["JOBS_URL"] ? undefined : env["JOBS_PROFILE"]);
  const direct =
    wishes.url !== undefined
      ? ([wishes.url, "--url"] as const)
      : named === undefined && env["JOBS_URL"]
        ? ([env["JOBS_URL"], "JOBS_URL"] as const)
        : undefined;
  const token = wishes.token ?? (env["JOBS_TOKEN"] || undefined);
  const tenant = wishes.tenant ?? (env["JOBS_TENANT"] || undefined);
  if (direct !== undefined) {
    return { url: addressOf(direct[0], direct[1]), token, tenant, from: direct[1] };
  }
  const file = await readProfiles(env);
  const name = named ?? file.default;
  if (name === undefined) return { url: HERE, token, tenant, from: "default" };
  const profile = file.profiles[name];
  if (profile === undefined) throw unknownProfile(name, file, env);
  const from = `profile ${name}`;
  return {
    url: addressOf(profile.url, from),
    token: token ?? profile.token,
    tenant: tenant ?? profile.tenant,
    from,
  };
}

function unknownProfile(name: string, { profiles }: Profiles, env: Environment): CliError {
  const names = Object.keys(profiles);
  const known = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
  return new CliError(
    "usage",
    `There is no profile ${name} in ${profilesFile(env)}; ${known}. \`jobs profiles set ${name} --url …\` makes one`,
  );
}

export function addressOf(text: string, from: string): string {
  const url = URL.parse(text);
  if (url !== null && url.username + url.password !== "") {
    const message = `${from}: An address takes no user and password; give a token with --token or JOBS_TOKEN`;
    throw new CliError("usage", message);
  }
  if (url !== null && /^https?:$/.test(url.protocol)) return text.replace(/\/+$/, "");
  throw new CliError(
    "usage",
    `${from}: ${text} is no address of a server; give one such as ${HERE}`,
  );
}

export function profilesFile(env: Environment): string {
  const folder = env["XDG_CONFIG_HOME"] || join(env["HOME"] || homedir(), ".config");
  return join(folder, "jobyard", "config.json");
}

export async function readProfiles(env: Environment): Promise<Profiles> {
  const file = profilesFile(env);
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return { profiles: {} };
    throw error;
  }
  return checked(parsed(text, file), file);
}

function parsed(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError(
      "usage",
      `${file} is not JSON: ${(error as Error).message}. Mend or delete it`,
    );
  }
}

function checked(value: unknown, file: string): Profiles {
  const wrong = (what: string) => new CliError("usage", `${file}: ${what}. Mend or delete it`);
  if (!isObject(value)) throw wrong("it must be an object");
  const { default: chosen, profiles = {} } = value;
  if (chosen !== undefined && typeof chosen !== "string") throw wrong("`default` must be a name");
  if (!isObject(profiles)) throw wrong("`profiles` must be an object");
  for (const [name, profile] of Object.entries(profiles)) {
    const texts = isObject(profile) ? [profile["token"], profile["tenant"]] : [];
    const fine =
      isObject(profile) &&
      typeof profile["url"] === "string" &&
      texts.every((text) => text === undefined || typeof text === "string");
    if (!fine)
      throw wrong(`profile ${name} must have a \`url\`, and may have a \`token\` and a \`tenant\``);
  }
  return {
    ...(chosen !== undefined && { default: chosen }),
    profiles: profiles as Profiles["profiles"],
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** It holds tokens: for its owner alone. Whole or not at all. */
export async function writeProfiles(env: Environment, profiles: Profiles): Promise<void> {
  const file = profilesFile(env);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const fresh = `${file}.${process.pid}.tmp`;
  await writeFile(fresh, `${JSON.stringify(profiles, null, 2)}\n`, { mode: 0o600 });
  await chmod(fresh, 0o600);
  await rename(fresh, file);
}
