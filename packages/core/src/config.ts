import { isIP, BlockList } from "node:net";
import { join } from "node:path";
import { z } from "zod";
import { emailAddress } from "./job-types/fields.ts";
import { isJobTypeName, jobTypes, type JobTypeName } from "./job-types/index.ts";

/** Everything a process is told from outside; docs/configuration.md says it for operators. */
export interface Config {
  /** Name or address that all servers listen on; `localhost` is both loopback addresses. */
  readonly host: string;
  readonly http: {
    /** 0 is any free port, here and below. */
    readonly ports: readonly number[];
    /** Whose word on the client's address counts; null: nobody's. */
    readonly trustProxy: TrustedProxies | null;
  };
  readonly tcp: {
    readonly port: number;
    /** Path of a Unix socket. */ readonly socket: string | null;
  };
  readonly grpc: { readonly port: number };
  readonly auth: {
    /** No key and no token is configured: calls without a token are let in, on loopback only. */
    readonly open: boolean;
    readonly jwtSecret: string | null;
    readonly jwksUrl: string | null;
    readonly apiTokens: readonly string[];
    /** Reads figures for Prometheus and nothing else; null: there is none. */
    readonly metricsToken: string | null;
    /** null: not checked. */
    readonly jwtAudience: string | null;
    readonly jwtIssuer: string | null;
    /** null: those that the configured key is for. */
    readonly jwtAlgorithms: readonly JwtAlgorithm[] | null;
  };
  readonly engine: {
    /** Several nodes of a cluster are comma-separated; null: the embedded engine. */
    readonly redisUrl: string | null;
    /** Refuse a Redis that forgets what it accepted when it is killed. */
    readonly redisRequireAof: boolean;
    readonly dataDir: string;
    readonly leaseMs: number;
  };
  readonly files: {
    readonly dir: string;
    /** Of one file that a tenant uploads. */
    readonly maxBytes: number;
  };
  /** 0: no limit. */
  readonly limits: {
    /** Bytes of one batch request or line. */
    readonly maxBatchBytes: number;
    /** Open at once: of HTTP, of WebSockets, of TCP each; a gRPC connection carries many calls. */
    readonly connections: number;
    readonly grpcConnections: number;
    readonly requestsPerMinute: {
      readonly standard: number;
      readonly bulk: number;
      readonly health: number;
    };
    /** Sentiment, file, scan and export jobs together, by tenant. */
    readonly dataJobs: {
      readonly perMinute: number;
      readonly perHour: number;
      readonly maxUnfinished: number;
      readonly maxRunning: number;
    };
    readonly batches: {
      /** To the extraction model. */
      readonly requestsPerMinute: number;
      readonly maxRunning: number;
    };
  };
  readonly retention: {
    readonly completedMs: number;
    readonly failedMs: number;
    /** Of what later jobs need. */
    readonly recordsMs: number;
  };
  readonly worker: {
    /** Whether the API's process runs jobs too. */
    readonly inline: boolean;
    readonly queues: readonly JobTypeName[];
    /** Jobs at once, by queue. */
    readonly concurrency: Readonly<Record<JobTypeName, number>>;
    readonly shutdownGraceMs: number;
    /** Health and metrics of a worker process. */
    readonly port: number;
  };
  readonly webhooks: { readonly allowPrivate: boolean };
  /** Who hears of failed validations; null: nobody. */
  readonly notifyEmail: string | null;
  /** Service that file analysis is asked of; null: it is done here. */
  readonly workerServiceUrl: string | null;
  /** null: messages are written to files. */
  readonly smtp: {
    readonly host: string;
    readonly port: number;
    readonly user: string | null;
    readonly pass: string | null;
    readonly from: string | null;
  } | null;
  readonly s3: {
    readonly bucket: string;
    readonly region: string;
    /** null: as the machine's own role gives it. */
    readonly accessKeyId: string | null;
    readonly secretAccessKey: string | null;
    readonly sessionToken: string | null;
    /** Of a store that is not Amazon's. */
    readonly endpoint: string | null;
  } | null;
  /** OpenAI-compatible vision endpoint; null: text is read on this machine. */
  readonly extractor: {
    readonly url: string;
    readonly model: string | null;
    readonly apiKey: string | null;
  } | null;
  readonly log: { readonly level: LogLevel };
}

/** The nearest so many proxies, or those at these addresses (CIDR ranges). */
export type TrustedProxies = { readonly hops: number } | { readonly ranges: readonly string[] };

const secretAlgorithms = ["HS256", "HS384", "HS512"] as const;
const publicKeyAlgorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
] as const;
const jwtAlgorithms = [...secretAlgorithms, ...publicKeyAlgorithms] as const;
export type JwtAlgorithm = (typeof jwtAlgorithms)[number];

/** What each kind of key is for when nothing else is configured. */
export function jwtAlgorithmsFor(keys: {
  readonly secret: boolean;
  readonly keySet: boolean;
}): readonly JwtAlgorithm[] {
  return [...(keys.secret ? ["HS256" as const] : []), ...(keys.keySet ? publicKeyAlgorithms : [])];
}

const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface ConfigProblem {
  readonly variable: string;
  /** What is wrong and what would be right; never a secret's value. */
  readonly message: string;
}

/** Names every variable that is wrong. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ variable, message }) => `  ${variable}: ${message}`);
    super(["The configuration has errors:", ...lines].join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/**
 * Reads the settings from a process' environment. A variable that is absent or empty has its
 * default; others are taken as they are or refused.
 * @throws ConfigError naming every variable that is wrong.
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const given: Record<string, string> = {};
  for (const variable of Object.keys(variables.shape)) {
    const raw = env[variable] ?? "";
    // White space around a secret may belong to it.
    const text = secrets.has(variable) ? raw : raw.trim();
    if (text !== "") given[variable] = text;
  }
  const parsed = variables.safeParse(given);
  const problems = parsed.error ? parsed.error.issues.map((issue) => problemOf(issue, given)) : [];
  problems.push(...contradictions(given));
  if (parsed.data) problems.push(...clashingPorts(parsed.data));
  if (!parsed.data || problems.length > 0) {
    const order = Object.keys(variables.shape);
    problems.sort((a, b) => order.indexOf(a.variable) - order.indexOf(b.variable));
    throw new ConfigError(problems);
  }
  return deepFreeze(arrange(parsed.data));
}

/** Whether a host name or address, as in HOST or a URL, can only mean this machine. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  if (name === "localhost" || name === "localhost." || name.endsWith(".localhost")) return true;
  const version = isIP(name);
  return version !== 0 && loopback.check(name, version === 6 ? "ipv6" : "ipv4");
}

const loopbackRanges = ["127.0.0.0/8", "::1/128"];
const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/**
 * A variable's text, read by `read`; undefined from it means that the text is not what is
 * expected. `expected` ends the sentence "must be …".
 */
function setting<T>(expected: string, read: (text: string) => T | undefined) {
  return z.string().transform((text, context): T => {
    const value = read(text);
    if (value === undefined) {
      context.addIssue({ code: "custom", message: `must be ${expected}` });
      return z.NEVER;
    }
    return value;
  });
}

const text = z.string();

function tokenOf(given: string): string | undefined {
  return /^[\x21-\x7e]+$/.test(given) ? given : undefined;
}

function wholeNumber(min: number, max: number) {
  return setting(`a whole number from ${min} to ${max}`, (digits) => within(digits, min, max));
}

function within(digits: string, min: number, max: number): number | undefined {
  if (!/^\d{1,16}$/.test(digits)) return undefined;
  const value = Number(digits);
  return value >= min && value <= max ? value : undefined;
}

const MAX_LIMIT = 1_000_000_000;
const limit = wholeNumber(0, MAX_LIMIT);
const port = wholeNumber(0, 65_535);

const flag = setting("true or false", (word) =>
  word === "true" || word === "false" ? word === "true" : undefined,
);

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const MAX_DURATION_MS = 36_500 * 86_400_000;

function duration(minMs: number) {
  const least = minMs > 0 ? ` of at least ${minMs} ms` : "";
  return setting(
    `a duration${least} such as 500ms, 3s, 5m, 24h, 7d, or a number of milliseconds`,
    (words) => {
      const [, digits = "", unit = "ms"] = /^(\d{1,16})\s*(ms|s|m|h|d)?$/.exec(words) ?? [];
      const ms = Number(digits) * (durationUnits[unit] ?? Number.NaN);
      return digits !== "" && ms >= minMs && ms <= MAX_DURATION_MS ? ms : undefined;
    },
  );
}

const sizeUnits: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};
/** What is held in memory: a JavaScript string cannot hold much more. */
const MAX_SIZE_BYTES = 500e6;
const MAX_FILE_BYTES = 1000e9;

function size(maxBytes: number) {
  const most = maxBytes < 1e9 ? `${maxBytes / 1e6} MB` : `${maxBytes / 1e9} GB`;
  return setting(`a size up to ${most} such as 16 MB or 16777216 (bytes)`, (words) => {
    const [, digits = "", unit = "b"] = /^(\d{1,16})\s*([kmg]?i?b)?$/i.exec(words) ?? [];
    const bytes = Number(digits) * (sizeUnits[unit.toLowerCase()] ?? Number.NaN);
    return bytes >= 1 && bytes <= maxBytes ? bytes : undefined;
  });
}

/** Comma-separated, none empty. */
function list<T>(expected: string, read: (item: string) => T | undefined) {
  return setting(expected, (words) => {
    const items = words.split(",").map((item) => item.trim());
    const values = items.map((item) => (item === "" ? undefined : read(item)));
    const known = values.filter((value) => value !== undefined);
    return known.length === items.length ? known : undefined;
  });
}

function eachOnce<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}

function oneWordOf<const Words extends readonly string[]>(words: Words) {
  return (word: string): Words[number] | undefined => words.find((known) => known === word);
}

function url(...protocols: string[]) {
  return setting(`a URL that begins with ${protocols.join(" or ")}`, (address) =>
    isUrl(address, protocols) ? address : undefined,
  );
}

function isUrl(address: string, protocols: readonly string[]): boolean {
  return (
    URL.canParse(address) && protocols.some((start) => address.toLowerCase().startsWith(start))
  );
}

const redisUrls = setting(
  "a URL that begins with redis:// or rediss://, or, for a cluster, comma-separated ones of several of its nodes",
  (words) => {
    const urls = words.split(",").map((address) => address.trim());
    return urls.every((address) => isUrl(address, ["redis://", "rediss://"])) ? urls : undefined;
  },
);

const path = setting("a path", (name) => (name.includes("\0") ? undefined : name));
/** Longer ones do not fit into a socket's address. */
const MAX_SOCKET_PATH_BYTES = 103;

const typedQueue = (name: string) => (isJobTypeName(name) ? name : undefined);
const typedQueues = Object.values(jobTypes).map(({ name }) => name);

const hostName = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9-]{1,63})*\.?$/i;

function readHost(host: string): string | undefined {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const looksLikeAddress = /^[\d.]+$/.test(bare);
  return isIP(bare) !== 0 || (!looksLikeAddress && hostName.test(bare)) ? bare : undefined;
}

function readTrustedProxies(words: string): TrustedProxies | "nobody" | undefined {
  if (words === "false" || words === "0") return "nobody";
  if (words === "true") return { hops: 1 };
  const hops = within(words, 1, 32);
  if (hops !== undefined) return { hops };
  const ranges: string[] = [];
  for (const item of words.split(",").map((word) => word.trim())) {
    if (item === "loopback") {
      ranges.push(...loopbackRanges);
      continue;
    }
    const [address = "", prefix, ...rest] = item.split("/");
    const bits = { 0: undefined, 4: 32, 6: 128 }[isIP(address)];
    if (bits === undefined || rest.length > 0) return undefined;
    if (prefix !== undefined && within(prefix, 0, bits) === undefined) return undefined;
    ranges.push(`${address}/${prefix ?? bits}`);
  }
  return { ranges };
}

interface Concurrency {
  readonly all: number | undefined;
  readonly byQueue: ReadonlyMap<JobTypeName, number>;
}

const MAX_CONCURRENCY = 1_000;

function readConcurrency(words: string): Concurrency | undefined {
  let all: number | undefined;
  const byQueue = new Map<JobTypeName, number>();
  for (const item of words.split(",")) {
    const [, queue, digits = ""] = /^\s*(?:([^=\s]+)\s*=\s*)?(\d+)\s*$/.exec(item) ?? [];
    const value = within(digits, 1, MAX_CONCURRENCY);
    if (value === undefined) return undefined;
    if (queue === undefined) {
      if (all !== undefined) return undefined;
      all = value;
    } else {
      if (!isJobTypeName(queue) || byQueue.has(queue)) return undefined;
      byQueue.set(queue, value);
    }
  }
  return { all, byQueue };
}

const MIN_JWT_SECRET_BYTES = 32;

/** Every variable there is, with its default. */
const variables = z.object({
  HOST: setting("a host name or an IP address", readHost).default("localhost"),
  HTTP_PORTS: list("comma-separated port numbers from 0 to 65535 such as 3001,6790", (digits) =>
    within(digits, 0, 65_535),
  ).default([3001, 6790]),
  TCP_PORT: port.default(6789),
  TCP_SOCKET: setting(`a path of at most ${MAX_SOCKET_PATH_BYTES} bytes`, (name) =>
    name.includes("\0") || Buffer.byteLength(name) > MAX_SOCKET_PATH_BYTES ? undefined : name,
  ).optional(),
  GRPC_PORT: port.default(6791),
  TRUST_PROXY: setting(
    "a number of proxies, or comma-separated addresses such as 10.0.0.0/8,loopback",
    readTrustedProxies,
  ).default("nobody"),
  JWT_SECRET: setting(`at least ${MIN_JWT_SECRET_BYTES} bytes long`, (secret) =>
    Buffer.byteLength(secret) < MIN_JWT_SECRET_BYTES ? undefined : secret,
  ).optional(),
  JWKS_URL: url("https://", "http://").optional(),
  JWT_AUDIENCE: text.optional(),
  JWT_ISSUER: text.optional(),
  JWT_ALGORITHMS: list(
    `comma-separated names out of ${jwtAlgorithms.join(", ")}`,
    oneWordOf(jwtAlgorithms),
  )
    .transform(eachOnce)
    .optional(),
  API_TOKENS: list("comma-separated tokens, none of them empty or with white space", tokenOf)
    .transform(eachOnce)
    .default([]),
  METRICS_TOKEN: setting("a token without white space", tokenOf).optional(),
  REDIS_URL: redisUrls.optional(),
  REDIS_REQUIRE_AOF: flag.default(false),
  DATA_DIR: path.default(".data"),
  FILES_DIR: path.optional(),
  LEASE_MS: duration(1).default(300_000),
  MAX_FILE_BYTES: size(MAX_FILE_BYTES).default(1e9),
  MAX_BATCH_BYTES: size(MAX_SIZE_BYTES).default(16_000_000),
  MAX_CONNECTIONS: wholeNumber(1, 1_000_000).default(10_000),
  GRPC_MAX_CONNECTIONS: wholeNumber(1, 1_000_000).default(1000),
  RATE_LIMIT_STANDARD: limit.default(100),
  RATE_LIMIT_BULK: limit.default(10),
  RATE_LIMIT_HEALTH: limit.default(300),
  DATACLOAK_JOBS_PER_MINUTE: limit.default(60),
  DATACLOAK_JOBS_PER_HOUR: limit.default(3600),
  DATACLOAK_MAX_QUEUE_SIZE: limit.default(1000),
  DATACLOAK_MAX_CONCURRENT: limit.default(3),
  BATCH_REQUESTS_PER_MINUTE: limit.default(30),
  BATCH_MAX_CONCURRENCY: limit.default(1),
  RETENTION_COMPLETED: duration(0).default(24 * 3_600_000),
  RETENTION_FAILED: duration(0).default(72 * 3_600_000),
  RETENTION_RECORDS: duration(0).default(400 * 86_400_000),
  INLINE_WORKER: flag.default(true),
  WORKER_QUEUES: list(
    `comma-separated names of typed queues (${typedQueues.join(", ")})`,
    typedQueue,
  )
    .transform(eachOnce)
    .default(typedQueues),
  WORKER_CONCURRENCY: setting(
    `a number from 1 to ${MAX_CONCURRENCY}, and others for typed queues if need be, such as 5,data_export=2`,
    readConcurrency,
  ).default({ all: undefined, byQueue: new Map() }),
  SHUTDOWN_GRACE_MS: duration(0).default(30_000),
  WORKER_PORT: port.default(3002),
  WEBHOOK_ALLOW_PRIVATE: flag.default(false),
  NOTIFY_EMAIL: setting("an e-mail address", (address) =>
    emailAddress.safeParse(address).success ? address : undefined,
  ).optional(),
  WORKER_SERVICE_URL: url("http://", "https://").optional(),
  SMTP_HOST: setting("a host name or an IP address", readHost).optional(),
  SMTP_PORT: wholeNumber(1, 65_535).default(587),
  SMTP_USER: text.optional(),
  SMTP_PASS: text.optional(),
  SMTP_FROM: setting("an e-mail address, or a name and an address in <>", (from) =>
    /^[^\p{Cc}<>]*<[^\p{Cc}<>\s@]+@[^\p{Cc}<>\s@]+>$/u.test(from) ||
    emailAddress.safeParse(from).success
      ? from
      : undefined,
  ).optional(),
  AWS_REGION: setting("a region such as us-east-1", (region) =>
    /^[a-z0-9-]+$/i.test(region) ? region : undefined,
  ).default("us-east-1"),
  AWS_ACCESS_KEY_ID: text.optional(),
  AWS_SECRET_ACCESS_KEY: text.optional(),
  AWS_SESSION_TOKEN: text.optional(),
  AWS_ENDPOINT_URL: url("http://", "https://").optional(),
  S3_BUCKET: setting("a bucket's name (3 to 63 of a-z 0-9 . -)", (bucket) =>
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) ? bucket : undefined,
  ).optional(),
  EXTRACTOR_URL: url("http://", "https://").optional(),
  EXTRACTOR_MODEL: text.optional(),
  EXTRACTOR_API_KEY: text.optional(),
  LOG_LEVEL: setting(`one of ${logLevels.join(", ")}`, oneWordOf(logLevels)).default("info"),
});

type Variables = z.output<typeof variables>;
type Variable = keyof Variables;

const secrets: ReadonlySet<string> = new Set<Variable>([
  "JWT_SECRET",
  "API_TOKENS",
  "METRICS_TOKEN",
  "SMTP_PASS",
  "AWS_SECRET_ACCESS_KEY",
  "AWS_SESSION_TOKEN",
  "EXTRACTOR_API_KEY",
]);

/** Addresses may hold a password. */
const addresses: ReadonlySet<string> = new Set<Variable>([
  "REDIS_URL",
  "JWKS_URL",
  "WORKER_SERVICE_URL",
  "AWS_ENDPOINT_URL",
  "EXTRACTOR_URL",
]);

const MAX_TEXT_SHOWN = 60;

function problemOf(issue: z.core.$ZodIssue, given: Record<string, string>): ConfigProblem {
  const variable = String(issue.path[0]);
  const text = JSON.stringify(given[variable]?.slice(0, MAX_TEXT_SHOWN));
  const hidden = secrets.has(variable) || addresses.has(variable);
  return { variable, message: hidden ? issue.message : `${issue.message}, not ${text}` };
}

/** Settings that are wrong only together. */
function contradictions(given: Partial<Record<Variable, string>>): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const needs = (needed: Variable, ...because: Variable[]): void => {
    const set = because.filter((variable) => given[variable] !== undefined);
    if (given[needed] !== undefined || set.length === 0) return;
    problems.push({ variable: needed, message: `is missing, but ${set.join(" and ")} needs it` });
  };
  const host = given.HOST ?? "localhost";
  const open = !given.JWT_SECRET && !given.JWKS_URL && !given.API_TOKENS;
  if (open && readHost(host) !== undefined && !isLoopbackHost(host)) {
    problems.push({
      variable: "HOST",
      message:
        "must be a loopback name or address such as localhost as long as none of JWT_SECRET, JWKS_URL and API_TOKENS is set: without them anybody may call",
    });
  }
  const tokens = given.API_TOKENS?.split(",").map((token) => token.trim()) ?? [];
  if (given.METRICS_TOKEN !== undefined && tokens.includes(given.METRICS_TOKEN)) {
    problems.push({
      variable: "METRICS_TOKEN",
      message: "must not be one of API_TOKENS: it is for who may read figures alone",
    });
  }
  const algorithms = given.JWT_ALGORITHMS?.split(",").map((name) => name.trim()) ?? [];
  // An open server signs its development tokens with a secret of its own.
  const hasSecret = open || given.JWT_SECRET !== undefined;
  const keyless = algorithms.filter((name) =>
    secretAlgorithms.some((known) => known === name)
      ? !hasSecret
      : publicKeyAlgorithms.some((known) => known === name) && given.JWKS_URL === undefined,
  );
  if (keyless.length > 0) {
    problems.push({
      variable: "JWT_ALGORITHMS",
      message: `has no key for ${keyless.join(", ")}: HS… needs JWT_SECRET, the others JWKS_URL`,
    });
  }
  needs("SMTP_HOST", "SMTP_USER", "SMTP_PASS", "SMTP_FROM");
  needs("SMTP_USER", "SMTP_PASS");
  needs("SMTP_PASS", "SMTP_USER");
  if (given.S3_BUCKET !== undefined) {
    needs("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN");
    needs("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID");
  }
  needs("EXTRACTOR_URL", "EXTRACTOR_MODEL", "EXTRACTOR_API_KEY");
  return problems;
}

function clashingPorts({ HTTP_PORTS, TCP_PORT, GRPC_PORT }: Variables): ConfigProblem[] {
  const taken = new Set<number>();
  const problems: ConfigProblem[] = [];
  for (const [variable, ports] of Object.entries({
    HTTP_PORTS,
    TCP_PORT: [TCP_PORT],
    GRPC_PORT: [GRPC_PORT],
  })) {
    for (const number of ports) {
      if (number !== 0 && taken.has(number)) {
        problems.push({
          variable,
          message: `must name ports of its own, and ${number} is named twice`,
        });
      }
      taken.add(number);
    }
  }
  return problems;
}

function arrange(set: Variables): Config {
  const smtpHost = set.SMTP_HOST;
  const extractorUrl = set.EXTRACTOR_URL;
  const { all = DEFAULT_CONCURRENCY, byQueue } = set.WORKER_CONCURRENCY;
  return {
    host: set.HOST,
    http: {
      ports: set.HTTP_PORTS,
      trustProxy: set.TRUST_PROXY === "nobody" ? null : set.TRUST_PROXY,
    },
    tcp: { port: set.TCP_PORT, socket: set.TCP_SOCKET ?? null },
    grpc: { port: set.GRPC_PORT },
    auth: {
      open:
        set.JWT_SECRET === undefined && set.JWKS_URL === undefined && set.API_TOKENS.length === 0,
      jwtSecret: set.JWT_SECRET ?? null,
      jwksUrl: set.JWKS_URL ?? null,
      apiTokens: set.API_TOKENS,
      metricsToken: set.METRICS_TOKEN ?? null,
      jwtAudience: set.JWT_AUDIENCE ?? null,
      jwtIssuer: set.JWT_ISSUER ?? null,
      jwtAlgorithms: set.JWT_ALGORITHMS ?? null,
    },
    engine: {
      redisUrl: set.REDIS_URL?.join(",") ?? null,
      redisRequireAof: set.REDIS_REQUIRE_AOF,
      dataDir: set.DATA_DIR,
      leaseMs: set.LEASE_MS,
    },
    files: { dir: set.FILES_DIR ?? join(set.DATA_DIR, "files"), maxBytes: set.MAX_FILE_BYTES },
    limits: {
      maxBatchBytes: set.MAX_BATCH_BYTES,
      connections: set.MAX_CONNECTIONS,
      grpcConnections: set.GRPC_MAX_CONNECTIONS,
      requestsPerMinute: {
        standard: set.RATE_LIMIT_STANDARD,
        bulk: set.RATE_LIMIT_BULK,
        health: set.RATE_LIMIT_HEALTH,
      },
      dataJobs: {
        perMinute: set.DATACLOAK_JOBS_PER_MINUTE,
        perHour: set.DATACLOAK_JOBS_PER_HOUR,
        maxUnfinished: set.DATACLOAK_MAX_QUEUE_SIZE,
        maxRunning: set.DATACLOAK_MAX_CONCURRENT,
      },
      batches: {
        requestsPerMinute: set.BATCH_REQUESTS_PER_MINUTE,
        maxRunning: set.BATCH_MAX_CONCURRENCY,
      },
    },
    retention: {
      completedMs: set.RETENTION_COMPLETED,
      failedMs: set.RETENTION_FAILED,
      recordsMs: set.RETENTION_RECORDS,
    },
    worker: {
      inline: set.INLINE_WORKER,
      queues: set.WORKER_QUEUES,
      concurrency: Object.fromEntries(
        typedQueues.map((queue) => [queue, byQueue.get(queue) ?? all]),
      ) as Record<JobTypeName, number>,
      shutdownGraceMs: set.SHUTDOWN_GRACE_MS,
      port: set.WORKER_PORT,
    },
    webhooks: { allowPrivate: set.WEBHOOK_ALLOW_PRIVATE },
    notifyEmail: set.NOTIFY_EMAIL ?? null,
    workerServiceUrl: set.WORKER_SERVICE_URL ?? null,
    smtp:
      smtpHost === undefined
        ? null
        : {
            host: smtpHost,
            port: set.SMTP_PORT,
            user: set.SMTP_USER ?? null,
            pass: set.SMTP_PASS ?? null,
            from: set.SMTP_FROM ?? null,
          },
    s3:
      set.S3_BUCKET === undefined
        ? null
        : {
            bucket: set.S3_BUCKET,
            region: set.AWS_REGION,
            accessKeyId: set.AWS_ACCESS_KEY_ID ?? null,
            secretAccessKey: set.AWS_SECRET_ACCESS_KEY ?? null,
            sessionToken: set.AWS_SESSION_TOKEN ?? null,
            endpoint: set.AWS_ENDPOINT_URL ?? null,
          },
    extractor:
      extractorUrl === undefined
        ? null
        : {
            url: extractorUrl,
            model: set.EXTRACTOR_MODEL ?? null,
            apiKey: set.EXTRACTOR_API_KEY ?? null,
          },
    log: { level: set.LOG_LEVEL },
  };
}

const DEFAULT_CONCURRENCY = 5;

function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}
