import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { promisify } from "node:util";
import { parseConfig } from "@jobyard/core";
import { describe, expect, onTestFinished, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";

const folder = join(import.meta.dirname, "..");
const root = join(folder, "..");

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Record<string, string> };
  // oxlint-disable-next-line typescript/no-explicit-any -- checked against the schema of its kind
  readonly spec: any;
}

/** Where the types and schemas of each API are. */
const apis: Readonly<Record<string, { from: string; load: () => Promise<object> }>> = {
  v1: { from: "kubernetes-models/v1", load: () => import("kubernetes-models/v1") },
  "apps/v1": { from: "kubernetes-models/apps/v1", load: () => import("kubernetes-models/apps/v1") },
  "autoscaling/v2": {
    from: "kubernetes-models/autoscaling/v2",
    load: () => import("kubernetes-models/autoscaling/v2"),
  },
  "networking.k8s.io/v1": {
    from: "kubernetes-models/networking.k8s.io/v1",
    load: () => import("kubernetes-models/networking.k8s.io/v1"),
  },
  "policy/v1": {
    from: "kubernetes-models/policy/v1",
    load: () => import("kubernetes-models/policy/v1"),
  },
  "monitoring.coreos.com/v1": {
    from: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    load: () => import("@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"),
  },
  "keda.sh/v1alpha1": {
    from: "@kubernetes-models/keda/keda.sh/v1alpha1",
    load: () => import("@kubernetes-models/keda/keda.sh/v1alpha1"),
  },
};

function read(file: string): unknown {
  const documents = parseAllDocuments(readFileSync(join(folder, file), "utf8"));
  const faults = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings]);
  expect(faults, file).toEqual([]);
  return documents.map((document) => document.toJS() as unknown);
}

const kustomizations = globSync("**/kustomization.yaml", { cwd: folder });
const files = globSync("{kubernetes,prometheus,grafana}/**/*.yaml", { cwd: folder }).filter(
  (file) => !kustomizations.includes(file) && !/prometheus\/(rules|prometheus)\.yaml$/.test(file),
);
const manifests = files.flatMap((file) => read(file) as Manifest[]);

function one(kind: string, name: string): Manifest {
  const found = manifests.filter((m) => m.kind === kind && m.metadata.name === name);
  expect(found, `${kind} ${name}`).toHaveLength(1);
  return found[0] as Manifest;
}

describe("Kubernetes", () => {
  test("each manifest is what its API takes, without a field that it does not know", async () => {
    const lines: string[] = [];
    for (const [n, manifest] of manifests.entries()) {
      const { apiVersion, kind } = manifest;
      const api = apis[apiVersion];
      const models = (await api?.load()) as
        | Record<string, new (data: object) => { validate(): void }>
        | undefined;
      const Model = models?.[kind];
      if (Model === undefined) throw new Error(`There is no ${kind} in ${apiVersion}`);
      new Model(manifest).validate();
      lines.push(
        `import type { I${kind} as Kind${n} } from ${JSON.stringify(api?.from)};`,
        `export const manifest${n}: Kind${n} = ${JSON.stringify(manifest)};`,
      );
    }
    // A schema takes unknown fields; a type does not.
    const cache = await mkdtemp(join(folder, "node_modules/.manifests-"));
    onTestFinished(() => rm(cache, { recursive: true }));
    await writeFile(join(cache, "manifests.ts"), lines.join("\n"));
    const flags = "--noEmit --strict --skipLibCheck --module nodenext --target es2022 --types node";
    const tsc = join(root, "node_modules/.bin/tsc");
    const { stdout } = await promisify(execFile)(
      tsc,
      ["--ignoreConfig", ...flags.split(" "), join(cache, "manifests.ts")],
      { cwd: root },
    ).catch((error: { stdout: string }) => error);
    expect(stdout).toBe("");
  });

  test("kustomize finds every file, once", () => {
    const listed: string[] = [];
    for (const file of kustomizations) {
      const { resources = [] } = (read(file) as { resources?: string[] }[])[0] ?? {};
      listed.push(...resources.map((name) => normalize(join(dirname(file), name))));
    }
    const found = [...files, ...kustomizations.map(dirname)];
    expect(listed.toSorted()).toEqual(found.filter((it) => it !== "kubernetes").toSorted());
  });

  test.each(["jobyard-api", "jobyard-worker"])("%s may do little and stops in time", (name) => {
    const { spec } = one("Deployment", name).spec.template;
    const [container, ...others] = spec.containers;
    expect(others).toEqual([]);
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    const config = (
      read("kubernetes/base/kustomization.yaml") as [{ configMapGenerator: never }]
    )[0];
    const [{ literals }] = config.configMapGenerator as [{ literals: string[] }];
    const env = Object.fromEntries(literals.map((line) => line.split(/=(.*)/s).slice(0, 2)));
    for (const { name: variable, value = "" } of container.env) env[variable] = value;
    const secrets = { JWT_SECRET: "x".repeat(32), METRICS_TOKEN: "m", REDIS_URL: "redis://redis" };
    const { worker } = parseConfig({ ...env, ...secrets, HOST: "0.0.0.0" });
    const preStopMs = container.lifecycle.preStop.sleep.seconds * 1000;
    expect(spec.terminationGracePeriodSeconds * 1000).toBeGreaterThanOrEqual(
      preStopMs + worker.shutdownGraceMs + 5000,
    );
    expect(worker.inline).toBe(name === "jobyard-worker");
    // Who probes what: Redis being away is no reason to start a process anew.
    const [{ name: port }] = container.ports;
    const probed = (probe: string) => container[probe].httpGet;
    expect(probed("livenessProbe")).toEqual({ path: "/health/live", port });
    expect(probed("startupProbe")).toEqual({ path: "/health/live", port });
    expect(probed("readinessProbe")).toEqual({ path: "/health", port });
    const mounts = container.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath);
    expect(mounts).toEqual(["/data", "/tmp"]);
  });

  test("selectors, ports and secrets fit", () => {
    for (const name of ["jobyard-api", "jobyard-worker"]) {
      const { selector, template } = one("Deployment", name).spec;
      const { labels } = template.metadata;
      const [{ ports, env }] = template.spec.containers;
      expect(labels).toMatchObject(selector.matchLabels);
      const service = one("Service", name);
      expect(labels).toMatchObject(service.spec.selector);
      const names = ports.map((port: { name: string }) => port.name);
      for (const port of service.spec.ports) expect(names).toContain(port.targetPort);
      expect(labels).toMatchObject(one("PodDisruptionBudget", name).spec.selector.matchLabels);
      const policy = one("NetworkPolicy", name).spec;
      expect(labels).toMatchObject(policy.podSelector.matchLabels);
      for (const { ports: allowed } of policy.ingress) {
        for (const { port } of allowed) expect(names).toContain(port);
      }
      const monitor = one("ServiceMonitor", name).spec;
      expect(service.metadata.labels).toMatchObject(monitor.selector.matchLabels);
      const [{ port, authorization }] = monitor.endpoints;
      expect(service.spec.ports.map((its: { name: string }) => its.name)).toContain(port);
      // The token that Prometheus shows is the one that is let in.
      const tokens = env.find((its: { name: string }) => its.name === "METRICS_TOKEN");
      expect(authorization.credentials).toEqual(tokens.valueFrom.secretKeyRef);
    }
    expect(one("ScaledObject", "jobyard-worker").spec.scaleTargetRef.name).toBe("jobyard-worker");
    expect(one("HorizontalPodAutoscaler", "jobyard-api").spec.scaleTargetRef.name).toBe(
      "jobyard-api",
    );
  });

  test("Prometheus' rules are the operator's", () => {
    const rules: unknown = parse(readFileSync(join(folder, "prometheus/rules.yaml"), "utf8"));
    expect(one("PrometheusRule", "jobyard").spec).toEqual(rules);
  });
});

describe("compose", () => {
  const [compose] = read("compose.yaml") as [unknown];
  const text = readFileSync(join(folder, "compose.yaml"), "utf8");
  const { services, volumes } = parse(text, { merge: true });

  test("is an API, three workers and a Redis that forgets nothing", () => {
    expect(compose).toBeDefined();
    expect(Object.keys(services)).toEqual(["api", "worker", "redis"]);
    expect(services.worker.deploy.replicas).toBe(3);
    const [, , script] = services.redis.command;
    expect(script).toContain("--appendonly yes");
    expect(script).toContain("--maxmemory-policy noeviction");
    expect(services.redis.volumes).toEqual(["redis:/data"]);
    expect(Object.keys(volumes)).toEqual(["data", "redis"]);
  });

  test("has no secret of its own, and does without none", () => {
    const { environment } = services.api;
    expect(environment.JWT_SECRET).toMatch(/^\$\{JWT_SECRET:\?[^}]+\}$/);
    expect(environment.METRICS_TOKEN).toMatch(/^\$\{METRICS_TOKEN:\?[^}]+\}$/);
    expect(environment.REDIS_URL).toMatch(/^redis:\/\/:\$\{REDIS_PASSWORD:\?[^}]+\}@redis:6379$/);
    expect(services.redis.environment.REDIS_PASSWORD).toMatch(/^\$\{REDIS_PASSWORD:\?/);
    expect(text).not.toMatch(/(?:SECRET|TOKEN|PASSWORD)(?::?-)/);
  });

  test.each(["api", "worker"])(
    "%s: settings that are right, little that it may, a stop in time",
    (name) => {
      const service = services[name];
      const given = { JWT_SECRET: "x".repeat(32), METRICS_TOKEN: "m", REDIS_PASSWORD: "p" };
      const env = Object.fromEntries(
        Object.entries(service.environment as Record<string, string>).map(([key, value]) => [
          key,
          value
            .replace(/\$\{(\w+):\+[^}]*\}/g, "")
            .replace(/\$\{(\w+):-([^}]*)\}/g, "$2")
            .replace(/\$\{(\w+):\?[^}]*\}/g, (_, its: keyof typeof given) => given[its]),
        ]),
      );
      const { worker, engine } = parseConfig(env);
      expect(engine).toMatchObject({ redisUrl: "redis://:p@redis:6379", redisRequireAof: true });
      expect(worker.inline).toBe(name === "worker");
      expect(parseInt(service.stop_grace_period, 10) * 1000).toBeGreaterThanOrEqual(
        worker.shutdownGraceMs + 10_000,
      );
      expect(service).toMatchObject({
        init: true,
        read_only: true,
        cap_drop: ["ALL"],
        security_opt: ["no-new-privileges:true"],
        volumes: ["data:/data"],
        depends_on: { redis: { condition: "service_healthy" } },
        build: { context: "..", dockerfile: "deploy/Dockerfile", target: name },
      });
      expect(service.deploy.resources.limits).toMatchObject({
        cpus: expect.any(String),
        memory: expect.stringMatching(/^\dg$/),
      });
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
    },
  );
});
