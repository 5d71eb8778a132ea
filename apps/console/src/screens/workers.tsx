import type { Schemas } from "@jobyard/sdk";
import { useMemo } from "preact/hooks";
import { warningText } from "../attention.ts";
import { Ago } from "../parts/ago.tsx";
import { type Column, DataTable } from "../parts/data-table.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { Plain } from "../parts/plain.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading } from "../reading.ts";
import { useSession } from "../session.tsx";

type WorkerRow = Schemas["Workers"]["items"][number];
type NodeRow = Schemas["Nodes"]["items"][number];

const QUEUES_SHOWN = 4;

export function Workers() {
  const { t } = usePreferences();
  const { may } = useSession();
  const columns = useWorkerColumns();
  const workers = useReading(["workers"], (client, signal) => client.workers({ signal }), {
    everyMs: 5000,
    alsoIdleMs: 10_000,
  });
  return (
    <>
      <h1>{t("workersAndNodes")}</h1>
      <section class="card">
        <h2>{t("workers")}</h2>
        <Loaded from={workers}>
          {(rows) => (
            <DataTable
              label={t("workers")}
              rows={rows}
              columns={columns}
              keyOf={({ id, tenant }) => `${tenant}/${id}`}
              empty={t("noWorkers")}
            />
          )}
        </Loaded>
      </section>
      {may("system") && <Nodes />}
      <Store />
    </>
  );
}

function useWorkerColumns(): readonly Column<WorkerRow>[] {
  const { t, formats } = usePreferences();
  return useMemo(
    (): readonly Column<WorkerRow>[] => [
      {
        id: "id",
        title: t("worker"),
        sort: ({ id }) => id,
        cell: ({ id, tenant }) => (
          <>
            <Plain text={id} max={60} />
            {tenant !== "*" && <span class="tag">{tenant}</span>}
          </>
        ),
      },
      {
        id: "queues",
        title: t("queues"),
        cell: ({ queues }) => {
          const rest = queues.length - QUEUES_SHOWN;
          const named = queues.slice(0, QUEUES_SHOWN).join(", ");
          const more = rest > 0 ? ` · ${t("moreEntries", { n: rest })}` : "";
          return queues.length === 0 ? t("all") : <Plain text={`${named}${more}`} max={160} />;
        },
      },
      {
        id: "load",
        title: t("utilisation"),
        numeric: true,
        sort: ({ active, concurrency }) => active / concurrency,
        cell: ({ active, concurrency }) =>
          `${formats.number(active)}/${formats.number(concurrency)}`,
      },
      {
        id: "done",
        title: t("processed"),
        numeric: true,
        sort: ({ jobsProcessed }) => jobsProcessed,
        cell: ({ jobsProcessed }) => formats.short(jobsProcessed),
      },
      {
        id: "memory",
        title: t("memory"),
        numeric: true,
        wide: true,
        cell: ({ memoryBytes }) => (memoryBytes === null ? "–" : formats.bytes(memoryBytes)),
      },
      {
        id: "lag",
        title: t("lag"),
        numeric: true,
        wide: true,
        cell: ({ eventLoopLagMs }) => formats.duration(eventLoopLagMs),
      },
      {
        id: "started",
        title: t("startedAt"),
        wide: true,
        cell: ({ startedAt }) => <Ago at={startedAt} />,
      },
      {
        id: "heard",
        title: t("heardOf"),
        cell: ({ lastHeartbeatAt }) => <Ago at={lastHeartbeatAt} />,
      },
    ],
    [t, formats],
  );
}

function Nodes() {
  const { t } = usePreferences();
  const nodes = useReading(["nodes"], (client, signal) => client.nodes({ signal }), {
    everyMs: 10_000,
    alsoIdleMs: 10_000,
  });
  const columns = useMemo(
    (): readonly Column<NodeRow>[] => [
      {
        id: "id",
        title: t("node"),
        cell: ({ id, isLeader }) => (
          <>
            <Plain text={id} max={60} />
            {isLeader && <span class="tag">{t("leader")}</span>}
          </>
        ),
      },
      { id: "host", title: t("address"), cell: ({ host, port }) => `${host}:${port}` },
      { id: "started", title: t("startedAt"), cell: ({ startedAt }) => <Ago at={startedAt} /> },
      {
        id: "heard",
        title: t("heardOf"),
        cell: ({ lastHeartbeatAt }) => <Ago at={lastHeartbeatAt} />,
      },
    ],
    [t],
  );
  return (
    <section class="card">
      <h2>{t("nodes")}</h2>
      <Loaded from={nodes}>
        {(rows) => (
          <DataTable
            label={t("nodes")}
            rows={rows}
            columns={columns}
            keyOf={({ id }) => id}
            empty={t("none")}
          />
        )}
      </Loaded>
    </section>
  );
}

function Store() {
  const { t, formats } = usePreferences();
  const { who } = useSession();
  const health = useReading(["health"], (client, signal) => client.health({ signal }), {
    everyMs: 15_000,
    alsoIdleMs: 30_000,
  });
  const { server } = who;
  return (
    <section class="card">
      <h2>{t("engine")}</h2>
      <Loaded from={health}>
        {({ latencyMs, startedAt, reachable, warnings }) => (
          <>
            <dl class="facts">
              <dt>{t("engine")}</dt>
              <dd>{t(server.engine === "sqlite" ? "engineSqlite" : "engineBullmq")}</dd>
              <dt>{t("version")}</dt>
              <dd>{server.version}</dd>
              <dt>{t("storeLatency")}</dt>
              <dd>{reachable ? formats.duration(latencyMs) : t("unreachable")}</dd>
              <dt>{t("startedAt")}</dt>
              <dd>{formats.ago(startedAt)}</dd>
            </dl>
            {warnings.map((warning) => (
              <p key={warning.code} class="status warn">
                {warningText(warning, t)}
              </p>
            ))}
          </>
        )}
      </Loaded>
    </section>
  );
}
