import type { Job as JobOf, Schemas } from "@jobyard/sdk";
import { useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { DependencyGraph } from "../parts/dependency-graph.tsx";
import { ActionButton } from "../parts/button.tsx";
import { JsonTree } from "../parts/json-tree.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { useNotices } from "../parts/notices.tsx";
import { LongText, Plain, visible } from "../parts/plain.tsx";
import { StateBadge } from "../parts/state-badge.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading, useRefresh } from "../reading.ts";
import { useSession } from "../session.tsx";
import { Facts } from "./job-facts.tsx";
import { Requeue } from "./requeue.tsx";

type JobView = JobOf<object>;

/** Reads what has no end yet again while things happen, and what has ended once. */
const LIVE_MS = 1000;

export function Job({ params: { id } }: { readonly params: { readonly id: string } }) {
  const { t } = usePreferences();
  const job = useReading(
    ["job", id],
    async (client, signal) => {
      // Of the list, since payloads are long and do not change.
      const { items } = await client.jobs.page({ id: [id], limit: 1 }, { signal });
      return items[0] ?? null;
    },
    { everyMs: LIVE_MS, alsoIdleMs: 10_000 },
  );
  return (
    <Loaded from={job}>
      {(found) =>
        found === null ? <p class="empty">{t("noSuchJob", { id })}</p> : <Whole job={found} />
      }
    </Loaded>
  );
}

function Whole({ job }: { readonly job: JobView }) {
  const { t } = usePreferences();
  return (
    <>
      <p class="crumbs">
        <Link href="/jobs">{t("jobs")}</Link> /{" "}
        <Link href={`/jobs?queue=${job.queue}`}>
          <Plain text={job.queue} />
        </Link>
      </p>
      <header class="job-head">
        <h1>
          {t("job")} {job.id} {job.name !== null && <Plain text={job.name} />}
        </h1>
        <StateBadge state={job.state} />
        <Actions job={job} />
      </header>
      {job.state === "active" && <Progress job={job} />}
      {job.error !== null && job.state !== "completed" && <Failure error={job.error} />}
      <div class="columns">
        <section class="card">
          <h2>{t("facts")}</h2>
          <Facts job={job} />
        </section>
        <section class="card">
          <h2>{t("attempts")}</h2>
          <Attempts job={job} />
        </section>
      </div>
      <Payloads job={job} />
      <div class="columns">
        <Files job={job} />
        <Logs job={job} />
      </div>
      <Dependencies job={job} />
    </>
  );
}

const endedStates: readonly string[] = ["completed", "failed", "cancelled"];

function Actions({ job }: { readonly job: JobView }) {
  const { t } = usePreferences();
  const { clientOf, may } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  const [, navigate] = useLocation();
  const [editing, setEditing] = useState(false);
  const { id, state, tenant } = job;
  const { jobs } = clientOf(tenant);
  const ended = endedStates.includes(state);
  const act = (what: () => Promise<unknown>) => async () => {
    await what();
    refresh();
  };
  return (
    <div class="row-actions end">
      {(state === "failed" || state === "cancelled") && (
        <ActionButton access="operate" kind="primary" run={act(() => jobs.retry(id))}>
          {t("retry")}
        </ActionButton>
      )}
      {state === "delayed" && (
        <ActionButton access="operate" run={act(() => jobs.promote(id))}>
          {t("runNow")}
        </ActionButton>
      )}
      {ended && may("operate") && (
        <button type="button" onClick={() => setEditing(true)}>
          {t("requeue")}
        </button>
      )}
      {!ended && (
        <ActionButton access="operate" kind="danger" run={act(() => jobs.cancel(id))}>
          {t("cancelJob")}
        </ActionButton>
      )}
      {state !== "active" && (
        <ActionButton
          access="operate"
          kind="danger"
          run={async () => {
            await jobs.remove(id);
            say(t("removed"));
            navigate(`/jobs?queue=${job.queue}`);
          }}
        >
          {t("remove")}
        </ActionButton>
      )}
      {editing && <Requeue job={job} onClose={() => setEditing(false)} />}
    </div>
  );
}

function Progress({ job }: { readonly job: JobView }) {
  const { t, formats } = usePreferences();
  const { progress, progressMessage, stats, startedAt } = job;
  const elapsed = startedAt === null ? 0 : Date.now() - Date.parse(startedAt);
  const estimate =
    stats?.estimatedEnd != null
      ? Date.parse(stats.estimatedEnd) - Date.now()
      : progress > 0
        ? (elapsed * (100 - progress)) / progress
        : null;
  return (
    <section class="card">
      <h2>
        {t("progress")}: {formats.percent(progress / 100)}
      </h2>
      <progress max={100} value={progress} aria-label={t("progress")} />
      <p>
        {t("runningFor", { time: formats.duration(elapsed) })}
        {estimate !== null &&
          ` · ${t("timeLeft", { time: formats.duration(Math.max(0, estimate)) })}`}
        {stats !== null && (
          <>
            {` · ${t("items", {
              done: formats.number(stats.processedItems),
              all: formats.number(stats.totalItems),
            })}`}
            {` · ${t("itemsPerSecond", { n: formats.rate(stats.itemsPerSecond) })}`}
            {stats.failedItems > 0 && (
              <span class="bad">
                {` · ${t("itemsFailed", { n: formats.number(stats.failedItems) })}`}
              </span>
            )}
          </>
        )}
      </p>
      {progressMessage !== null && <Plain text={progressMessage} />}
    </section>
  );
}

function Failure({ error }: { readonly error: NonNullable<JobView["error"]> }) {
  const { t } = usePreferences();
  return (
    <section class="card failure">
      <h2>
        {t("error")}
        {error.code !== undefined && (
          <>
            {" "}
            <code>{visible(error.code)}</code>
          </>
        )}
        {error.stage !== undefined && ` · ${visible(error.stage)}`}
      </h2>
      <LongText text={error.message} />
      {error.stack !== undefined && (
        <details>
          <summary>{t("stack")}</summary>
          <LongText text={error.stack} />
        </details>
      )}
    </section>
  );
}

function Attempts({ job: { id, attemptsMade, crashes, state } }: { readonly job: JobView }) {
  const { t, formats } = usePreferences();
  const attempts = useReading(
    ["attempts", id, attemptsMade, crashes, state],
    (client, signal) => client.jobs.attempts(id, { signal }),
    { everyMs: 5000, keep: true },
  );
  return (
    <Loaded from={attempts}>
      {({ items }) =>
        items.length === 0 ? (
          <p class="hint">{t("noAttempts")}</p>
        ) : (
          <ol class="timeline">
            {items.map(({ run, worker, startedAt, endedAt, outcome, error, nextAt }) => (
              <li key={run} class={outcome ?? "active"}>
                <strong>{t("run", { n: run })}</strong>{" "}
                <span class={`badge ${outcome ?? "active"}`}>{t(outcome ?? "active")}</span>
                <br />
                <time dateTime={startedAt}>{formats.moment(startedAt)}</time>
                {" · "}
                {formats.duration(
                  (endedAt === null ? Date.now() : Date.parse(endedAt)) - Date.parse(startedAt),
                )}
                {worker !== null && (
                  <>
                    {" · "}
                    <Plain text={worker} max={60} />
                  </>
                )}
                {error !== null && (
                  <p class="bad">
                    <Plain text={error} max={300} />
                  </p>
                )}
                {nextAt !== null && (
                  <p class="hint">{t("nextAttempt", { when: formats.moment(nextAt) })}</p>
                )}
              </li>
            ))}
          </ol>
        )
      }
    </Loaded>
  );
}

function Payloads({ job: { id, state } }: { readonly job: JobView }) {
  const { t } = usePreferences();
  const ended = state === "completed";
  const whole = useReading(
    ["payloads", id, ended],
    (client, signal) => client.jobs.get(id, { signal }),
    { everyMs: Infinity, keep: true },
  );
  return (
    <Loaded from={whole}>
      {(job) => (
        <div class="columns">
          <section class="card">
            <h2>{t("data")}</h2>
            <Payload id={id} part="data" value={job.data} file={job.dataFile} />
          </section>
          {ended && (
            <section class="card">
              <h2>{t("result")}</h2>
              <Payload id={id} part="result" value={job.result} file={job.resultFile} />
            </section>
          )}
        </div>
      )}
    </Loaded>
  );
}

interface PayloadProps {
  readonly id: string;
  readonly part: "data" | "result";
  readonly value: unknown;
  /** In place of a value that is long. */
  readonly file: Schemas["Job"]["dataFile"];
}

function Payload({ id, part, value, file }: PayloadProps) {
  const { t, formats } = usePreferences();
  const { client } = useSession();
  const [read, setRead] = useState<{ readonly value: unknown } | null>(null);
  if (file === undefined || read !== null) {
    return <JsonTree value={read === null ? (value ?? null) : read.value} label={t(part)} />;
  }
  return (
    <ActionButton access="read" run={async () => setRead({ value: await client.jobs[part](id) })}>
      {t("showLong", { size: formats.bytes(file.bytes) })}
    </ActionButton>
  );
}

function Files({ job: { id, state } }: { readonly job: JobView }) {
  const { t, formats } = usePreferences();
  const { client } = useSession();
  const files = useReading(
    ["files", id, state],
    (client, signal) => client.jobs.files(id, { signal }),
    { everyMs: Infinity },
  );
  if (files.data === undefined || files.data.items.length === 0) return null;
  return (
    <section class="card">
      <h2>{t("files")}</h2>
      <ul class="plain-list">
        {files.data.items.map(({ name, bytes }) => (
          <li key={name}>
            <ActionButton
              access="read"
              label={t("downloadFile", { name })}
              run={async () => save(name, await client.jobs.file(id, name))}
            >
              {t("download")}
            </ActionButton>{" "}
            <Plain text={name} /> <span class="faint">{formats.bytes(bytes)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Through memory, since a link cannot send the token. */
async function save(name: string, response: Response): Promise<void> {
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

const LINES = 500;

function Logs({ job: { id } }: { readonly job: JobView }) {
  const { t, formats } = usePreferences();
  const logs = useReading(
    ["logs", id],
    (client, signal) => client.jobs.logs(id, { limit: 1000 }, { signal }),
    { everyMs: 2000 },
  );
  if (logs.data === undefined || logs.data.items.length === 0) return null;
  const { items } = logs.data;
  return (
    <section class="card">
      <h2>{t("logs")}</h2>
      <ol class="log" tabIndex={0} aria-label={t("logs")}>
        {items.slice(-LINES).map(({ at, line }, n) => (
          <li key={`${at} ${n}`}>
            <time dateTime={at}>{formats.time(at)}</time> <Plain text={line} max={2000} />
          </li>
        ))}
      </ol>
    </section>
  );
}

function Dependencies({ job }: { readonly job: JobView }) {
  const { t } = usePreferences();
  const found = useReading(
    ["dependencies", job.id, job.state],
    (client, signal) => client.jobs.dependencies(job.id, { signal }),
    { everyMs: 3000, keep: true },
  );
  if (found.data === undefined) return null;
  const { dependsOn, dependents, gone } = found.data;
  if (dependsOn.length + dependents.length + gone.length === 0) return null;
  return (
    <section class="card">
      <h2>{t("dependencies")}</h2>
      <DependencyGraph job={job} {...found.data} />
    </section>
  );
}
