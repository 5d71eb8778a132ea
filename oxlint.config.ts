import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type OxlintOverride } from "oxlint";

/** An import that some part of the code must not have: a regular expression over the specifier, and why. */
interface Ban {
  regex: string;
  message: string;
}

const sqlite: Ban = {
  regex: "^node:sqlite$",
  message: "Only packages/core/src/adapters/sqlite talks to SQLite.",
};
const redis: Ban = {
  regex: "^(bullmq|ioredis)(/|$)",
  message: "Only packages/core/src/adapters/bullmq talks to Redis.",
};
const adapters: Ban = {
  regex: "(^|/)adapters/",
  message: "Core does not know its adapters: whoever composes the process chooses one.",
};
const testing: Ban = {
  regex: "^@jobyard/core/testing$",
  message: "For tests only.",
};
const otherPackagesFiles: Ban = {
  regex:
    "^(\\.\\./)+((packages|apps)/|(core|handlers|sdk|api|worker|cli|console)/(src|dist|test)/|bench/|scripts/)",
  message: "Import another package by its name.",
};

/** Workspace packages other than `allowed` are out of bounds. */
function workspaceExcept(...allowed: string[]): Ban {
  const others = ["core", "handlers", "sdk", "api", "worker", "cli", "console"].filter(
    (name) => !allowed.includes(name),
  );
  return {
    regex: `^@jobyard/(${others.join("|")})(/|$)`,
    message: `This package may import ${allowed.map((name) => `@jobyard/${name}`).join(", ") || "no workspace package"} only.`,
  };
}

/** The last override that matches a file decides, so each states all of its bans. */
function zone(files: string[], ...bans: Ban[]): OxlintOverride {
  return { files, rules: { "no-restricted-imports": ["error", { patterns: bans }] } };
}

const core = workspaceExcept();
const api = [sqlite, redis, otherPackagesFiles, workspaceExcept("core", "handlers")];
const dialectsFolder = join(import.meta.dirname, "apps/api/src/dialects");
const dialects = existsSync(dialectsFolder) ? readdirSync(dialectsFolder) : [];

const importRules = [
  zone(["packages/core/src/**"], sqlite, redis, adapters, otherPackagesFiles, core),
  // Where the engine of a process is chosen.
  zone(["packages/core/src/process/engine.ts"], sqlite, redis, otherPackagesFiles, core),
  ...["sqlite", "bullmq"].map((own) =>
    zone(
      [`packages/core/src/adapters/${own}/**`],
      ...(own === "sqlite" ? [redis] : [sqlite]),
      {
        regex: `^(\\.\\./)+(adapters/)?${own === "sqlite" ? "bullmq" : "sqlite"}/`,
        message: "An adapter never imports another one.",
      },
      otherPackagesFiles,
      core,
    ),
  ),
  zone(
    ["packages/handlers/src/**"],
    sqlite,
    redis,
    testing,
    otherPackagesFiles,
    workspaceExcept("core"),
  ),
  zone(["packages/sdk/src/**"], sqlite, redis, otherPackagesFiles, workspaceExcept()),
  zone(["apps/api/src/**"], testing, ...api),
  ...dialects.map((own) =>
    zone([`apps/api/src/dialects/${own}/**`], testing, ...api, {
      regex: `^(\\.\\./)+(dialects/)?(${dialects.filter((name) => name !== own).join("|")})/`,
      message: "A dialect never imports another one: what they share belongs to core.",
    }),
  ),
  zone(
    ["apps/worker/src/**"],
    sqlite,
    redis,
    testing,
    otherPackagesFiles,
    workspaceExcept("core", "handlers"),
  ),
  // Runs in browsers, and knows the service by its client alone.
  zone(["apps/console/src/**"], sqlite, redis, otherPackagesFiles, workspaceExcept("sdk")),
  // `jobs start` starts the API and the worker; `migrate`, `restore` and `bench` work on the engines.
  zone(
    ["apps/cli/src/**"],
    sqlite,
    redis,
    testing,
    otherPackagesFiles,
    workspaceExcept("sdk", "core", "api", "worker"),
  ),
];

export default defineConfig({
  plugins: ["typescript", "unicorn", "oxc", "import", "promise", "node", "vitest"],
  categories: { correctness: "error", suspicious: "error" },
  options: { typeAware: true, reportUnusedDisableDirectives: "error", denyWarnings: true },
  ignorePatterns: ["**/node_modules/**", "**/dist/**", "**/generated/**", "coverage/**"],
  rules: {
    eqeqeq: ["error", "always", { null: "ignore" }],
    "import/no-cycle": "error",
    "import/no-default-export": "error",
    "no-console": "error",
    "node/no-process-env": "error",
    "typescript/consistent-type-imports": "error",
    "typescript/no-explicit-any": "error",
    "typescript/no-floating-promises": "error",
    "typescript/no-misused-promises": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/only-throw-error": "error",
    "typescript/prefer-promise-reject-errors": "error",
    "typescript/return-await": ["error", "error-handling-correctness-only"],
    "typescript/switch-exhaustiveness-check": [
      "error",
      { considerDefaultExhaustiveForUnions: true },
    ],
    "typescript/triple-slash-reference": [
      "error",
      { path: "always", types: "never", lib: "never" },
    ],
    "unicorn/prefer-node-protocol": "error",
    "vitest/expect-expect": [
      "error",
      { assertFunctionNames: ["expect", "expect*", "assert*", "fc.assert"] },
    ],

    // The second argument is the message.
    "vitest/valid-expect": ["error", { maxArgs: 2 }],

    // Of the categories above: matters of taste, or wrong more often than right.
    "import/no-named-as-default-member": "off",
    "import/no-unassigned-import": "off",
    "no-shadow": "off",
    "promise/always-return": "off",
    "promise/no-callback-in-promise": "off",
    "typescript/consistent-return": "off",
    "typescript/no-unsafe-type-assertion": "off",
    "unicorn/consistent-function-scoping": "off",
    "unicorn/no-array-reverse": "off",
    "unicorn/no-array-sort": "off",
    "vitest/no-conditional-expect": "off",
  },
  overrides: [
    {
      files: ["packages/*/src/testing/**", "**/*.test.ts", "**/test/**"],
      // A recorder's function is handed over as it is, unbound or not.
      rules: {
        "typescript/no-non-null-assertion": "off",
        "typescript/unbound-method": "off",
        "vitest/require-mock-type-parameters": "off",
      },
    },
    {
      files: ["scripts/**", "bench/**", "examples/**", "apps/cli/src/**"],
      rules: { "no-console": "off" },
    },
    {
      // Settings are read where a process starts and parsed once; the rest is given them.
      files: [
        "scripts/**",
        "bench/**",
        "examples/**",
        "**/{main,config,generate}.ts",
        "apps/console/build.ts",
        "packages/core/src/testing/**",
        "**/*.test.ts",
        "**/test/**",
        "*.config.ts",
      ],
      rules: { "node/no-process-env": "off" },
    },
    {
      files: ["**/*.config.ts", "**/*.thread.ts"],
      rules: { "import/no-default-export": "off" },
    },
    ...importRules,
    // Tests look at anything, beside the code too.
    {
      files: ["packages/*/src/**/*.test.ts", "apps/*/src/**/*.test.ts"],
      rules: { "no-restricted-imports": "off" },
    },
  ],
});
