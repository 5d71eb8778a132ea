import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { parser } from "@prometheus-io/lezer-promql";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { run, startApi, testRedis } from "../../apps/api/test/running-process.ts";
import { temporaryFolder } from "../../apps/api/test/running-server.ts";
import { ensureSystemTools } from "../../scripts/system-tools.ts";

const folder = join(import.meta.dirname, "..");
const read = (file: string): string => readFileSync(join(folder, file), "utf8");

interface Question {
  readonly expr: string;
  readonly where: string;
}

/** All that is asked of Prometheus. */
function questions(): readonly Question[] {
  const { groups } = parse(read("prometheus/rules.yaml")) as {
    groups: { rules: { expr: string; alert?: string; record?: string }[] }[];
  };
  const { panels, templating } = JSON.parse(read("grafana/jobyard.json")) as {
    panels: { title: string; targets: { expr: string }[] }[];
    templating: { list: { query: string; type: string }[] };
  };
  const { spec } = parse(read("kubernetes/monitoring/worker-scaling.yaml")) as {
    spec: { triggers: { metadata: { query: string } }[] };
  };
  const variables = templating.list.flatMap(({ type, query }) => {
    const [, expr] = /^label_values\((.+), \w+\)$/.exec(query) ?? [];
    return type === "query" && expr !== undefined ? [{ expr, where: "dashboard: variable" }] : [];
  });
  return [
    ...groups.flatMap(({ rules }) =>
      rules.map(({ expr, alert, record }) => ({ expr, where: `rule ${alert ?? record}` })),
    ),
    ...panels.flatMap(({ title, targets }) =>
      targets.map(({ expr }) => ({
        // As Grafana fills it in.
        expr: expr.replaceAll("$__rate_interval", "1m").replaceAll("$queue", ".*"),
        where: `panel ${title}`,
      })),
    ),
    ...variables,
    ...spec.triggers.map(({ metadata }) => ({ expr: metadata.query, where: "ScaledObject" })),
  ];
}

/** The metrics that it names, with the labels that it selects or groups by. */
function metricsIn({ expr, where }: Question): { name: string; labels: string[] }[] {
  const found: { name: string; labels: string[] }[] = [];
  parser.parse(expr).iterate({
    enter({ type, node, from, to }) {
      if (type.isError) throw new Error(`${where}: not PromQL at ${from}: ${expr}`);
      if (type.name !== "VectorSelector") return;
      const name = node.getChild("Identifier");
      const matchers = expr.slice(name?.to ?? to, to).matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g);
      found.push({
        name: name === null ? "" : expr.slice(name.from, name.to),
        labels: [...matchers].map(([, label = ""]) => label),
      });
    },
  });
  return found;
}

/** What Prometheus adds to what it scrapes. */
const scraped = new Set(["job", "instance", "namespace"]);

test("rules, dashboard and scaling ask for nothing but what API and workers tell", async () => {
  const { url: REDIS_URL } = await testRedis();
  const token = "of-prometheus-alone";
  const env = {
    REDIS_URL,
    DATA_DIR: await temporaryFolder(),
    METRICS_TOKEN: token,
    JWT_SECRET: "x".repeat(32),
  };
  const api = await startApi({ ...env, INLINE_WORKER: "false" });
  const worker = run("apps/worker/src/main.ts", { ...env, WORKER_PORT: "0" });
  const ready = JSON.parse(await worker.line(/The worker is ready/)) as { urls: string[] };

  const told = new Map<string, Set<string>>();
  const scrape = async (url: string): Promise<string> => {
    expect((await fetch(url)).status).toBe(401);
    const response = await fetch(url, { headers: { Authorization: `Bearer ${token}` } });
    expect(response.status).toBe(200);
    const page = await response.text();
    for (const [, name = "", labels = ""] of page.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
      const known = told.get(name) ?? new Set();
      for (const [, label = ""] of labels.matchAll(/(\w+)="/g)) known.add(label);
      told.set(name, known);
    }
    return page;
  };
  // As ServiceMonitors and prometheus.yaml have it.
  const pages = [
    await scrape(`${api.urls[0]}/metrics/prometheus`),
    await scrape(`${ready.urls[0]}/metrics`),
  ];
  for (const file of ["kubernetes/monitoring/scrape.yaml", "prometheus/prometheus.yaml"]) {
    for (const path of ["/metrics/prometheus", "/metrics"]) {
      expect(read(file), file).toMatch(new RegExp(`(?:metrics_)?path: ${path}$`, "m"));
    }
  }
  // The backlog is known wherever Prometheus looks.
  for (const page of pages) {
    for (const state of ["waiting", "active"]) {
      expect(page).toContain(
        `jobyard_queue_jobs{queue="sentiment_analysis_batch",state="${state}"} 0\n`,
      );
    }
  }
  told.set("up", new Set());
  told.set("jobyard:queue_jobs:max", new Set(["queue", "state"]));

  const unknown: string[] = [];
  const asked = questions();
  expect(asked.length).toBeGreaterThan(25);
  for (const question of asked) {
    for (const { name, labels } of metricsIn(question)) {
      const known = told.get(name);
      if (known === undefined) unknown.push(`${question.where}: ${name}`);
      for (const label of labels) {
        if (!scraped.has(label) && known?.has(label) === false) {
          unknown.push(`${question.where}: ${name}{${label}}`);
        }
      }
    }
  }
  expect(unknown).toEqual([]);
});

test("Prometheus takes the rules and its configuration, and alerts when it should", async () => {
  ensureSystemTools("promtool");
  const promtool = (...args: string[]): Promise<{ readonly stderr: string }> =>
    promisify(execFile)("promtool", args, { cwd: folder });
  for (const args of [
    ["check", "rules", "prometheus/rules.yaml"],
    ["check", "config", "--syntax-only", "prometheus/prometheus.yaml"],
    ["test", "rules", "test/alerts.yaml"],
  ]) {
    expect(await promtool(...args)).toMatchObject({ stderr: "" });
  }
}, 120_000);
