import type { Schemas } from "@jobyard/sdk";
import { useMemo, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { needsAttention } from "../attention.ts";
import { Chart } from "../parts/chart.tsx";
import { type Column, DataTable } from "../parts/data-table.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { Plain } from "../parts/plain.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading } from "../reading.ts";
import { useSession } from "../session.tsx";
import { backlogOf, type QueueFigures, useQueueFigures } from "../queue-figures.ts";

const MINUTE_MS = 60_000;

const periods = {
  period5m: { lastMs: 5 * MINUTE_MS, interval: "5s", everyMs: 5000 },
  period1h: { lastMs: 60 * MINUTE_MS, interval: "minute", everyMs: 5000 },
  period24h: { lastMs: 24 * 60 * MINUTE_MS, interval: "hour", everyMs: 30_000 },
  period7d: { lastMs: 7 * 24 * 60 * MINUTE_MS, interval: "hour", everyMs: 60_000 },
} as const;

type Period = keyof typeof periods;

export function Overview() {
  const { t } = usePreferences();
  const figures = useQueueFigures();
  return (
    <>
      <h1>{t("overview")}</h1>
      <AttentionList figures={figures.data} />
      <Figures />
      <section class="card">
        <h2>{t("queues")}</h2>
        <Loaded from={figures}>{(rows) => <QueueLines rows={rows} />}</Loaded>
      </section>
      <Engine />
    </>
  );
}

function AttentionList({ figures }: { readonly figures: readonly QueueFigures[] | undefined }) {
  const { t, formats } = usePreferences();
  const workers = useReading(["workers"], (client, signal) => client.workers({ signal }), {
    everyMs: 10_000,
    alsoIdleMs: 15_000,
  });
  const schedules = useReading(
    ["schedules"],
    (client, signal) => client.schedules.list({ signal }),
    { everyMs: 30_000, alsoIdleMs: 60_000 },
  );
  const health = useHealth();
  if (figures === undefined || workers.data === undefined || schedules.data === undefined) {
    return <p class="status">{t("loading")}</p>;
  }
  const found = needsAttention(
    {
      now: Date.now(),
      figures,
      workers: workers.data,
      schedules: schedules.data,
      health: health.data,
    },
    t,
    formats,
  );
  if (found.length === 0) {
    return (
      <p class="status good">
        <span aria-hidden="true">✓</span> {t("allIsWell")}
      </p>
    );
  }
  return (
    <section class={found.some(({ bad }) => bad) ? "status bad" : "status warn"}>
      <h2>{t("needsAttention")}</h2>
      <ul class="attention">
        {found.slice(0, 12).map(({ key, bad, about, text, href }) => (
          <li key={key} class={bad ? "bad" : "warn"}>
            <Link href={href}>
              <Plain text={about} max={60} />
            </Link>{" "}
            {text}
          </li>
        ))}
        {found.length > 12 && <li>{t("moreEntries", { n: found.length - 12 })}</li>}
      </ul>
    </section>
  );
}

/** What happened in a period, in numbers and over time. */
function Figures() {
  const { t, formats } = usePreferences();
  const [period, setPeriod] = useState<Period>("period1h");
  const { lastMs, interval, everyMs } = periods[period];
  const stats = useReading(
    ["stats", period],
    (client, signal) => client.stats({ lastMs }, { signal }),
    { everyMs: period === "period5m" ? 2000 : 5000, alsoIdleMs: 30_000, keep: true },
  );
  const metrics = useReading(
    ["metrics", period],
    (client, signal) => client.metrics({ interval, lastMs }, { signal }),
    // Time goes on where nothing happens, too.
    { everyMs, alsoIdleMs: everyMs * 3, keep: true },
  );
  const lines = useMemo(() => linesOf(metrics.data), [metrics.data]);
  return (
    <section>
      <div class="choice" role="group" aria-label={t("period")}>
        {(Object.keys(periods) as Period[]).map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={one === period}
            onClick={() => setPeriod(one)}
          >
            {t(one)}
          </button>
        ))}
      </div>
      <Loaded from={stats}>{(data) => <Tiles stats={data} minutes={lastMs / MINUTE_MS} />}</Loaded>
      <div class="charts">
        <Chart
          title={t("ratePerMinute")}
          times={lines.times}
          series={[
            { label: t("completed"), colour: "--green", values: lines.completed },
            { label: t("failed"), colour: "--red", values: lines.failed },
          ]}
          format={(value) => formats.rate(value)}
        />
        <Chart
          title={t("backlog")}
          times={lines.times}
          series={[{ label: t("backlog"), colour: "--blue", values: lines.backlog }]}
          format={(value) => formats.short(value)}
        />
        <Chart
          title={t("latency")}
          times={lines.times}
          series={[
            { label: t("waitingTime"), colour: "--amber", values: lines.wait },
            { label: t("running"), colour: "--violet", values: lines.duration },
          ]}
          format={(value) => formats.duration(value)}
        />
      </div>
    </section>
  );
}

function linesOf(metrics: Schemas["Metrics"] | undefined) {
  const points = metrics?.series[0]?.points ?? [];
  const starts = points.map(({ at }) => Date.parse(at));
  const minutes = starts.map((at, n) => {
    const end = starts[n + 1] ?? Date.parse(metrics?.to ?? "");
    // The last one may be still running, by a clock that need not be this one.
    const elapsed = n < starts.length - 1 ? end - at : Math.min(end, Date.now()) - at;
    return Math.max(elapsed, (end - at) / 6) / MINUTE_MS;
  });
  return {
    times: starts.map((at) => at / 1000),
    completed: points.map(({ completed }, n) => completed / (minutes[n] ?? 1)),
    failed: points.map(({ failed }, n) => failed / (minutes[n] ?? 1)),
    backlog: points.map(({ backlog }) => backlog),
    wait: points.map(({ waitAvgMs }) => waitAvgMs),
    duration: points.map(({ durationAvgMs }) => durationAvgMs),
  };
}

function Tiles({ stats, minutes }: { readonly stats: Schemas["Stats"]; readonly minutes: number }) {
  const { t, formats } = usePreferences();
  const { counts, total } = stats;
  const ended = total.completed + total.failed;
  const share = ended === 0 ? 0 : total.failed / ended;
  const tiles = [
    [t("backlog"), formats.short(backlogOf(counts)), ""],
    [t("active"), formats.short(counts.active), ""],
    [t("ratePerMinute"), formats.rate(ended / minutes), ""],
    [t("failureShare"), formats.percent(share), share >= 0.05 ? "bad" : ""],
    [t("waitingTime"), formats.duration(total.waitAvgMs), ""],
    [t("running"), formats.duration(total.durationAvgMs), ""],
  ] as const;
  return (
    <dl class="tiles">
      {tiles.map(([label, value, tone]) => (
        <div key={label} class={tone}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function QueueLines({ rows }: { readonly rows: readonly QueueFigures[] }) {
  const { t, formats } = usePreferences();
  const { manyTenants } = useSession();
  const used = rows.filter(({ queue, recent, history }) => {
    const happened = recent.added + recent.completed + recent.failed > 0 || history.length > 0;
    return happened || Object.values(queue.counts).some((count) => count > 0);
  });
  const columns = useMemo(
    (): readonly Column<QueueFigures>[] => [
      {
        id: "name",
        title: t("queue"),
        sort: ({ queue }) => queue.name,
        cell: ({ queue }) => (
          <>
            <Link href={`/jobs?queue=${queue.name}`}>
              <Plain text={queue.name} max={60} />
            </Link>
            {manyTenants && <span class="tag">{queue.tenant}</span>}
            {queue.paused && <span class="badge paused">{t("paused")}</span>}
          </>
        ),
      },
      {
        id: "trend",
        title: t("trend"),
        cell: ({ history }) => <Sparkline values={history.map(({ completed }) => completed)} />,
      },
      {
        id: "backlog",
        title: t("backlog"),
        numeric: true,
        sort: ({ queue }) => backlogOf(queue.counts),
        cell: ({ queue }) => formats.short(backlogOf(queue.counts)),
      },
      {
        id: "rate",
        title: t("ratePerMinute"),
        numeric: true,
        sort: ({ recent }) => recent.completed + recent.failed,
        cell: ({ recent }) => formats.rate((recent.completed + recent.failed) / 5),
      },
      {
        id: "failed",
        title: t("failureShare"),
        numeric: true,
        sort: ({ recent }) => recent.failed,
        cell: ({ recent: { completed, failed } }) => (
          <span class={failed > 0 ? "bad" : ""}>
            {completed + failed === 0 ? "–" : formats.percent(failed / (completed + failed))}
          </span>
        ),
      },
    ],
    [t, formats, manyTenants],
  );
  return (
    <>
      <DataTable
        label={t("queues")}
        rows={used}
        columns={columns}
        keyOf={({ queue }) => `${queue.tenant}/${queue.name}`}
        empty={t("noQueues")}
      />
      {used.length < rows.length && used.length > 0 && (
        <p class="hint">{t("queuesIdle", { n: rows.length - used.length })}</p>
      )}
    </>
  );
}

function useHealth() {
  return useReading(["health"], (client, signal) => client.health({ signal }), {
    everyMs: 15_000,
    alsoIdleMs: 30_000,
  });
}

function Engine() {
  const { t, formats } = usePreferences();
  const { who, may } = useSession();
  const health = useHealth();
  const nodes = useReading(["nodes"], (client, signal) => client.nodes({ signal }), {
    everyMs: 30_000,
    alsoIdleMs: 30_000,
    enabled: may("system"),
  });
  const { server } = who;
  return (
    <section class="card">
      <h2>{t("engine")}</h2>
      <dl class="facts">
        <dt>{t("engine")}</dt>
        <dd>{t(server.engine === "sqlite" ? "engineSqlite" : "engineBullmq")}</dd>
        <dt>{t("version")}</dt>
        <dd>{server.version}</dd>
        <dt>{t("storeLatency")}</dt>
        <dd>{formats.duration(health.data?.latencyMs ?? null)}</dd>
        <dt>{t("startedAt")}</dt>
        <dd>{health.data === undefined ? "–" : formats.ago(health.data.startedAt)}</dd>
        {nodes.data !== undefined && (
          <>
            <dt>{t("nodes")}</dt>
            <dd>
              <Link href="/workers">{formats.number(nodes.data.length)}</Link>
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}
