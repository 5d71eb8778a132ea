import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError, isLoopbackHost, parseConfig } from "../src/config.ts";
import { jobTypes } from "../src/job-types/index.ts";

const SECRET = "0123456789abcdef0123456789abcdef";

function problems(env: Record<string, string>): Record<string, string> {
  try {
    parseConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    const found = (error as ConfigError).problems.map(({ variable, message }) => {
      expect((error as ConfigError).message).toContain(`${variable}: ${message}`);
      return [variable, message];
    });
    return Object.fromEntries(found);
  }
  return {};
}

describe("defaults", () => {
  test("an empty environment is an open server with the embedded engine", () => {
    expect(parseConfig({})).toEqual({
      host: "localhost",
      http: { ports: [3001, 6790], trustProxy: null },
      tcp: { port: 6789, socket: null },
      grpc: { port: 6791 },
      auth: {
        open: true,
        jwtSecret: null,
        jwksUrl: null,
        apiTokens: [],
        metricsToken: null,
        jwtAudience: null,
        jwtIssuer: null,
        jwtAlgorithms: null,
      },
      engine: { redisUrl: null, redisRequireAof: false, dataDir: ".data", leaseMs: 300_000 },
      files: { dir: ".data/files", maxBytes: 1_000_000_000 },
      limits: {
        maxBatchBytes: 16_000_000,
        connections: 10_000,
        grpcConnections: 1000,
        requestsPerMinute: { standard: 100, bulk: 10, health: 300 },
        dataJobs: { perMinute: 60, perHour: 3600, maxUnfinished: 1000, maxRunning: 3 },
        batches: { requestsPerMinute: 30, maxRunning: 1 },
      },
      retention: { completedMs: 86_400_000, failedMs: 259_200_000, recordsMs: 34_560_000_000 },
      worker: {
        inline: true,
        queues: Object.keys(jobTypes),
        concurrency: Object.fromEntries(Object.keys(jobTypes).map((queue) => [queue, 5])),
        shutdownGraceMs: 30_000,
        port: 3002,
      },
      webhooks: { allowPrivate: false },
      notifyEmail: null,
      workerServiceUrl: null,
      smtp: null,
      s3: null,
      extractor: null,
      log: { level: "info" },
    });
  });

  test("empty and blank values count as unset, unknown variables do not matter", () => {
    const names = variableNames();
    const empty = Object.fromEntries(names.map((name) => [name, ""]));
    expect(parseConfig({ ...empty, LOG_LEVEL: "  ", PATH: "/bin", PORT: "x" })).toEqual(
      parseConfig({}),
    );
  });

  test("the result is frozen throughout", () => {
    const config = parseConfig({ API_TOKENS: "a,b", TRUST_PROXY: "10.0.0.1" });
    const frozen = (value: unknown): boolean =>
      typeof value !== "object" ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(frozen));
    expect(frozen(config)).toBe(true);
  });
});

describe("values", () => {
  test.each([
    ["1500", 1_500],
    ["500ms", 500],
    ["3s", 3_000],
    ["5m", 300_000],
    ["24h", 86_400_000],
    ["7 d", 604_800_000],
  ])("duration %s", (text, ms) => {
    expect(parseConfig({ LEASE_MS: text }).engine.leaseMs).toBe(ms);
  });

  test.each(["0", "-1", "1.5s", "3 bananas", "1e3", "99999999999999d", "s", "0x10", "5M"])(
    "no duration: %s",
    (text) => {
      expect(problems({ LEASE_MS: text })["LEASE_MS"]).toMatch(/duration.* 3s, 5m, 24h/);
    },
  );

  test.each([
    ["16 MB", 16_000_000],
    ["16MB", 16_000_000],
    ["16mib", 16_777_216],
    ["1000", 1_000],
    ["4 kB", 4_000],
    ["10B", 10],
  ])("size %s", (text, bytes) => {
    expect(parseConfig({ MAX_BATCH_BYTES: text }).limits.maxBatchBytes).toBe(bytes);
  });

  test.each(["0", "16 M B", "1.5MB", "2GB", "16 megabytes"])("no size: %s", (text) => {
    expect(problems({ MAX_BATCH_BYTES: text })).toHaveProperty("MAX_BATCH_BYTES");
  });

  test("retention may be nothing", () => {
    expect(parseConfig({ RETENTION_COMPLETED: "0" }).retention.completedMs).toBe(0);
  });

  test.each(["yes", "1", "TRUE", "on"])("no flag: %s", (text) => {
    expect(problems({ INLINE_WORKER: text })["INLINE_WORKER"]).toBe(
      `must be true or false, not "${text}"`,
    );
  });

  test("ports: any number of them, 0 for any free one", () => {
    const { http, tcp } = parseConfig({ HTTP_PORTS: "0, 0", TCP_PORT: "0", GRPC_PORT: "0" });
    expect(http.ports).toEqual([0, 0]);
    expect(tcp.port).toBe(0);
    expect(Object.keys(problems({ HTTP_PORTS: "80,,81" }))).toEqual(["HTTP_PORTS"]);
    expect(Object.keys(problems({ HTTP_PORTS: "65536" }))).toEqual(["HTTP_PORTS"]);
    expect(Object.keys(problems({ HTTP_PORTS: "7000,7000", TCP_PORT: "6791" }))).toEqual([
      "HTTP_PORTS",
      "GRPC_PORT",
    ]);
  });

  test("worker queues and concurrency", () => {
    const { worker } = parseConfig({
      WORKER_QUEUES: "data_export, file_processing,data_export",
      WORKER_CONCURRENCY: "8, sentiment_analysis_batch=2 ,data_export=1",
    });
    expect(worker.queues).toEqual(["data_export", "file_processing"]);
    expect(worker.concurrency).toMatchObject({
      "data-validation": 8,
      sentiment_analysis_batch: 2,
      data_export: 1,
    });
    expect(parseConfig({ WORKER_CONCURRENCY: "data_export=1" }).worker.concurrency).toMatchObject({
      "data-validation": 5,
      data_export: 1,
    });
    expect(problems({ WORKER_QUEUES: "data_exprot" })["WORKER_QUEUES"]).toContain("data_export");
    for (const text of ["0", "5,6", "five", "emails=2", "data_export=1,data_export=2", "5,"]) {
      expect(problems({ WORKER_CONCURRENCY: text })).toHaveProperty("WORKER_CONCURRENCY");
    }
  });

  test("trusted proxies", () => {
    const trusted = (text: string) => parseConfig({ TRUST_PROXY: text }).http.trustProxy;
    expect(trusted("false")).toBeNull();
    expect(trusted("true")).toEqual({ hops: 1 });
    expect(trusted("2")).toEqual({ hops: 2 });
    expect(trusted("10.0.0.0/8, 192.168.1.1,loopback, fd00::/8")).toEqual({
      ranges: ["10.0.0.0/8", "192.168.1.1/32", "127.0.0.0/8", "::1/128", "fd00::/8"],
    });
    for (const text of ["proxy.local", "10.0.0.0/33", "10.0.0.0/8/8", "10.0.0.1,", "::/129"]) {
      expect(problems({ TRUST_PROXY: text })).toHaveProperty("TRUST_PROXY");
    }
  });

  test("services", () => {
    const config = parseConfig({
      REDIS_URL: "redis://localhost:6379",
      REDIS_REQUIRE_AOF: "true",
      WORKER_SERVICE_URL: "http://localhost:8000",
      SMTP_HOST: "smtp.example.com",
      SMTP_PORT: "465",
      SMTP_USER: "noreply@example.com",
      SMTP_PASS: " spaces count ",
      AWS_REGION: "eu-west-1",
      AWS_ACCESS_KEY_ID: "xxx",
      AWS_SECRET_ACCESS_KEY: "yyy",
      S3_BUCKET: "madfam-files",
      EXTRACTOR_URL: "https://api.example.com/v1",
      EXTRACTOR_MODEL: "vision-1",
      NOTIFY_EMAIL: "ops@example.com",
      DATA_DIR: "/var/lib/jobyard",
      TCP_SOCKET: "/run/jobyard.sock",
    });
    expect(config.engine.redisUrl).toBe("redis://localhost:6379");
    expect(config.engine.redisRequireAof).toBe(true);
    expect(config.smtp).toEqual({
      host: "smtp.example.com",
      port: 465,
      user: "noreply@example.com",
      pass: " spaces count ",
      from: null,
    });
    expect(config.s3).toMatchObject({ bucket: "madfam-files", region: "eu-west-1" });
    expect(config.extractor).toMatchObject({ model: "vision-1", apiKey: null });
    expect(config.files.dir).toBe("/var/lib/jobyard/files");
    // Without a bucket the keys are some other program's.
    expect(parseConfig({ AWS_ACCESS_KEY_ID: "xxx" }).s3).toBeNull();
  });
});

describe("who may call", () => {
  test("any key or token closes the server, and it may then listen anywhere", () => {
    for (const env of [
      { JWT_SECRET: SECRET },
      { JWKS_URL: "https://id.example.com/jwks.json" },
      { API_TOKENS: "one, two,one" },
    ]) {
      expect(parseConfig({ ...env, HOST: "0.0.0.0" }).auth.open).toBe(false);
    }
    expect(parseConfig({ API_TOKENS: "one, two,one" }).auth.apiTokens).toEqual(["one", "two"]);
  });

  test("an open server listens on loopback only", () => {
    for (const HOST of ["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "LOCALHOST"]) {
      expect(parseConfig({ HOST }).auth.open).toBe(true);
    }
    for (const HOST of ["0.0.0.0", "::", "192.168.0.1", "example.com", "localhost.example.com"]) {
      expect(problems({ HOST })["HOST"]).toMatch(/loopback.*JWT_SECRET, JWKS_URL and API_TOKENS/);
    }
    expect(problems({ HOST: "300.1.1.1" })["HOST"]).toContain("host name");
    expect(isLoopbackHost("::ffff:127.0.0.1")).toBe(true);
    expect(isLoopbackHost("evil-localhost")).toBe(false);
  });

  test("a secret has 32 bytes, tokens are not empty, algorithms have their key", () => {
    expect(problems({ JWT_SECRET: "short" })).toEqual({
      JWT_SECRET: "must be at least 32 bytes long",
    });
    expect(parseConfig({ JWT_SECRET: "ü".repeat(16) }).auth.jwtSecret).toBe("ü".repeat(16));
    expect(problems({ API_TOKENS: "one,,two" })).toHaveProperty("API_TOKENS");
    expect(problems({ API_TOKENS: "one two" })).toHaveProperty("API_TOKENS");
    expect(problems({ API_TOKENS: "one, two", METRICS_TOKEN: "two" })["METRICS_TOKEN"]).toMatch(
      /must not be one of API_TOKENS/,
    );
    expect(problems({ METRICS_TOKEN: "one two" })).toHaveProperty("METRICS_TOKEN");
    expect(parseConfig({ METRICS_TOKEN: "three" }).auth).toMatchObject({
      open: true,
      metricsToken: "three",
    });
    expect(
      parseConfig({ JWT_SECRET: SECRET, JWT_ALGORITHMS: "HS256,HS512" }).auth.jwtAlgorithms,
    ).toEqual(["HS256", "HS512"]);
    for (const JWT_ALGORITHMS of ["none", "HS256,", "RS256", "hs256"]) {
      expect(problems({ JWT_SECRET: SECRET, JWT_ALGORITHMS })).toHaveProperty("JWT_ALGORITHMS");
    }
    const JWKS_URL = "https://id.example.com/jwks.json";
    expect(problems({ JWKS_URL, JWT_ALGORITHMS: "HS256" })).toHaveProperty("JWT_ALGORITHMS");
    expect(parseConfig({ JWKS_URL, JWT_ALGORITHMS: "ES256" }).auth.jwksUrl).toBe(JWKS_URL);
  });
});

describe("errors", () => {
  test("all are told at once, in a fixed order, with what would be right", () => {
    expect(
      problems({
        LOG_LEVEL: "loud",
        HTTP_PORTS: "http",
        HOST: "0.0.0.0",
        SMTP_PASS: "x",
        S3_BUCKET: "files",
        AWS_ACCESS_KEY_ID: "id",
        EXTRACTOR_API_KEY: "key",
        RATE_LIMIT_BULK: "-1",
      }),
    ).toEqual({
      HOST: expect.stringContaining("loopback"),
      HTTP_PORTS: expect.stringContaining('3001,6790, not "http"'),
      RATE_LIMIT_BULK: 'must be a whole number from 0 to 1000000000, not "-1"',
      SMTP_HOST: "is missing, but SMTP_PASS needs it",
      SMTP_USER: "is missing, but SMTP_PASS needs it",
      AWS_SECRET_ACCESS_KEY: "is missing, but AWS_ACCESS_KEY_ID needs it",
      EXTRACTOR_URL: "is missing, but EXTRACTOR_API_KEY needs it",
      LOG_LEVEL: expect.stringContaining("one of fatal, error"),
    });
  });

  test("Redis is one server, or several nodes of a cluster", () => {
    const { engine } = parseConfig({ REDIS_URL: "redis://a:7000, rediss://u:p@b" });
    expect(engine.redisUrl).toBe("redis://a:7000,rediss://u:p@b");
    for (const REDIS_URL of ["redis://a,", "redis://a,b", "redis://a,http://b", "a:6379"]) {
      expect(problems({ REDIS_URL })).toHaveProperty("REDIS_URL");
    }
  });

  test("no secret is ever shown", () => {
    const marker = "hunter2-very-secret";
    const env = {
      JWT_SECRET: marker,
      API_TOKENS: `${marker},,`,
      METRICS_TOKEN: `${marker} x`,
      REDIS_URL: `http://user:${marker}@host`,
      JWKS_URL: `ftp://user:${marker}@host`,
      WORKER_SERVICE_URL: `user:${marker}@host`,
      SMTP_PASS: marker,
      AWS_SECRET_ACCESS_KEY: marker,
      AWS_SESSION_TOKEN: marker,
      AWS_ENDPOINT_URL: marker,
      S3_BUCKET: "files",
      EXTRACTOR_URL: `://${marker}`,
      EXTRACTOR_API_KEY: marker,
      LOG_LEVEL: "x",
    };
    const found = problems(env);
    expect(Object.keys(found).length).toBeGreaterThan(7);
    expect(JSON.stringify(found)).not.toContain("hunter2");
  });

  test("any text in any variable is a value or a problem of that variable", () => {
    fc.assert(
      fc.property(fc.constantFrom(...variableNames()), fc.string(), (variable, text) => {
        try {
          parseConfig({ [variable]: text });
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          expect((error as ConfigError).message.length).toBeLessThan(2_000);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("the operators' table", () => {
  const page = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
  const rows = Array.from(page.matchAll(/^\| `([A-Z0-9_]+)` \| (.*?) \|/gm), (row) => row.slice(1));

  test("names every variable, once, and no other", () => {
    const named: string[] = rows.map(([name = ""]) => name);
    expect(named.toSorted()).toEqual(variableNames().toSorted());
  });

  test.each(rows)("%s: %s", (name = "", told = "") => {
    // What counts only beside others is looked at beside them.
    const others = name.startsWith("AWS_")
      ? { S3_BUCKET: "bucket" }
      : name.startsWith("SMTP_") && name !== "SMTP_HOST"
        ? { SMTP_HOST: "mail.example.com" }
        : {};
    const [, value] = /^`(.*?)`(?: \(.*\))?$/.exec(told) ?? [];
    if (value !== undefined) {
      expect(parseConfig({ ...others, [name]: value })).toEqual(parseConfig(others));
      return;
    }
    // A default in words stands for no value of its own.
    expect(told).toMatch(inWords[name] ?? /^none$/);
    expect(parseConfig({ ...others, [name]: "" })).toEqual(parseConfig(others));
    expect(definitionOf(name)).toMatch(/\.optional\(\)|\.default\((?:\[\]|"nobody"|typedQueues)\)/);
  });
});

const inWords: Readonly<Record<string, RegExp>> = {
  AWS_ACCESS_KEY_ID: /^the machine's role$/,
  AWS_ENDPOINT_URL: /^Amazon's$/,
  AWS_SECRET_ACCESS_KEY: /^the machine's role$/,
  EXTRACTOR_MODEL: /^the project's$/,
  FILES_DIR: /^`files` in the folder above$/,
  JWT_ALGORITHMS: /^what the key is for$/,
  JWT_AUDIENCE: /^not checked$/,
  JWT_ISSUER: /^not checked$/,
  SMTP_FROM: /^the account$/,
  WORKER_QUEUES: /^all typed queues$/,
};

/** As the code has it. */
function definitionOf(name: string): string {
  const source = readFileSync(new URL("../src/config.ts", import.meta.url), "utf8");
  const [definition = ""] =
    new RegExp(`^ {2}${name}:[^]*?,\\n(?= {2}[A-Z]|\\}\\);)`, "m").exec(source) ?? [];
  return definition;
}

function variableNames(): string[] {
  const source = readFileSync(new URL("../src/config.ts", import.meta.url), "utf8");
  const table = source.slice(source.indexOf("const variables"), source.indexOf("type Variables"));
  return Array.from(table.matchAll(/^ {2}([A-Z][A-Z0-9_]+):/gm), ([, name]) => name!);
}
