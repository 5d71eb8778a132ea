/**
 * Lists, filters and search of a tenant with 1,000,000 jobs (see `lists-fill.ts`), over HTTP, on both engines.
 *
 *   pnpm bench --lists [--engine embedded|distributed] [--only part-of-a-query]
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureSystemTools } from "../scripts/system-tools.ts";
import { startApi } from "./http.ts";
import { freePort, run, startRedis } from "./processes.ts";

type Engine = "embedded" | "distributed";

const PAGE_MS = 200;
const CALLS = 30;
/** How long nobody else may be served. */
const HELD_MS = 50;
/** A query that takes longer than this is not asked as often. */
const PATIENCE_MS = 6000;

const hour = (n: number): string => new Date(Date.now() - n * 3_600_000).toISOString();

/** What the dialects' lists and the console can ask for, alone and in the usual pairs. */
function queries(group: string): readonly string[] {
  const native = [
    "",
    "order=asc",
    "cursor=500000",
    "state=failed",
    "state=failed&state=cancelled&cursor=300000",
    "queue=scans",
    "queue=scans&state=waiting&order=asc",
    "queue=scans&state=completed&cursor=400000",
    "queue=scans&queue=imports&state=failed",
    "id=5&id=77777&id=999999",
    "name=nightly",
    "name=nightly&cursor=500000",
    "name=nightly&state=waiting",
    "name=nightly&state=failed&cursor=500000",
    "name=step-7",
    "name=step-7&state=failed",
    "tag=field",
    "tag=field&state=failed",
    "tag=crew-7&state=completed",
    "tag=rig&name=nightly",
    "tag=rig&queue=imports",
    "project=project-3",
    "project=project-3&state=delayed",
    "project=project-3&queue=scans&state=waiting",
    "batch=batch-250",
    "batch=batch-250&state=failed",
    "error=timeout",
    "error=ECONNREFUSED%2010.0.7.",
    "error=%C3%9CBERSCHREITET",
    "error=no-such-text",
    "error=timeout&queue=scans",
    "error=quota&name=nightly",
    `errorGroup=${group}`,
    `errorGroup=${group}&name=nightly`,
    `createdFrom=${hour(5)}`,
    `createdTo=${hour(5)}`,
    `createdFrom=${hour(12)}&createdTo=${hour(6)}`,
    `createdFrom=${hour(12)}&createdTo=${hour(6)}&cursor=500000`,
    `createdFrom=${hour(12)}&createdTo=${hour(6)}&state=failed`,
    `createdFrom=${hour(12)}&createdTo=${hour(6)}&state=completed`,
    `createdFrom=${hour(12)}&queue=scans`,
    "priorityMin=1",
    "priorityMax=-5",
    "priorityMin=0&priorityMax=0&queue=scans",
    "priorityMin=5&queue=scans&state=waiting",
    "queue=scans&payload=data.wellId%20%3D%20WELL-1250",
    "queue=scans&payload=data.wellId%20%3D%20WELL-1250&state=completed",
  ];
  const v1 = [
    "",
    "page=3000",
    "page=6000",
    "type=security_scan&status=pending&page=200",
    "priority=medium&page=2",
    "priority=critical&page=100",
    "status=running",
    "status=failed&page=200",
    "type=data_export&page=1000",
  ];
  return [
    ...native.map((query) => `/api/native/jobs?limit=100&${query}`),
    ...v1.map((query) => `/api/v1/jobs?limit=100&${query}`),
  ];
}

interface Answer {
  readonly data: { readonly total?: number; readonly items?: readonly Record<string, string>[] };
}

async function get(url: string): Promise<Answer["data"]> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return ((await response.json()) as Answer).data;
}

interface Timed {
  readonly query: string;
  readonly first: number;
  readonly slowest: number;
  readonly total: number | undefined;
  /** The longest that a single job's page had to wait meanwhile. */
  readonly held: number;
}

async function time(url: string, query: string): Promise<Timed> {
  const times: number[] = [];
  let total: number | undefined;
  const over = new AbortController();
  let held = 0;
  const others = (async () => {
    while (!over.signal.aborted) {
      const began = performance.now();
      await get(`${url}/api/native/jobs/500000`);
      held = Math.max(held, performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  const began = performance.now();
  try {
    while (times.length < CALLS && performance.now() - began < PATIENCE_MS) {
      const asked = performance.now();
      ({ total } = await get(url + query));
      times.push(performance.now() - asked);
    }
  } finally {
    over.abort();
    await others;
  }
  return { query, first: times[0] ?? 0, slowest: Math.max(...times), total, held };
}

async function timeAll(url: string, only: string): Promise<boolean> {
  let met = true;
  const { items = [] } = await get(`${url}/api/native/errors?limit=1`);
  for (const query of queries(items[0]?.["group"] ?? "")) {
    if (!query.includes(only)) continue;
    const { first, slowest, total, held } = await time(url, query);
    const quick = slowest <= PAGE_MS && held <= HELD_MS;
    met &&= quick;
    const ms = (n: number): string => n.toFixed(0);
    console.log(
      `${quick ? "ok  " : "MISS"} ${ms(slowest).padStart(5)} ms (first ${ms(first)}, others held ${ms(held)})  ${String(total).padStart(9)}  ${query}`,
    );
  }
  return met;
}

async function benchEngine(engine: Engine, only: string): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "jobyard-lists-"));
  const port = await freePort();
  const redis = engine === "distributed" ? await startRedis(folder, port) : undefined;
  const env = {
    RETENTION_COMPLETED: "400d",
    RETENTION_FAILED: "400d",
    ...(redis === undefined ? {} : { REDIS_URL: `redis://127.0.0.1:${port}` }),
  };
  let met = true;
  try {
    const place = redis === undefined ? join(folder, "jobyard.db") : String(port);
    await run("lists-fill.ts", [engine, place]);
    const api = await startApi(folder, env);
    try {
      console.log(`\nA tenant with 1,000,000 jobs, ${engine}; the slowest of ${CALLS} calls\n`);
      met = await timeAll(api.url, only);
    } finally {
      await api.stop();
    }
  } finally {
    if (redis !== undefined) {
      redis.kill();
      await once(redis, "close");
    }
    rmSync(folder, { recursive: true, force: true });
  }
  return met;
}

/** Whether all pages come in time, and let others be served meanwhile. */
export async function benchLists(engine: string, only: string): Promise<boolean> {
  ensureSystemTools("redis-server");
  let met = true;
  for (const each of ["embedded", "distributed"] as const) {
    if ([each, "both"].includes(engine)) met = (await benchEngine(each, only)) && met;
  }
  return met;
}
