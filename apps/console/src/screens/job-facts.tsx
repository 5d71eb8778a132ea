import type { Job } from "@jobyard/sdk";
import type { ComponentChildren } from "preact";
import { Link } from "wouter-preact";
import { Plain } from "../parts/plain.tsx";
import { usePreferences } from "../preferences.tsx";

export function Facts({ job }: { readonly job: Job<object> }) {
  const { t, formats } = usePreferences();
  const moment = (at: string | null): string => (at === null ? "–" : formats.moment(at));
  const facts: readonly (readonly [string, ComponentChildren])[] = [
    [t("tenant"), job.tenant],
    [t("created"), moment(job.createdAt)],
    ...(job.state === "delayed" ? ([[t("due"), moment(job.runAt)]] as const) : []),
    [t("startedAt"), moment(job.startedAt)],
    [t("finishedAt"), moment(job.finishedAt)],
    [t("worker"), job.worker === null ? "–" : <Plain text={job.worker} />],
    [t("attempts"), `${job.attemptsMade}/${job.maxAttempts}`],
    ...(job.crashes > 0 ? ([[t("crashes"), job.crashes]] as const) : []),
    [t("priority"), formats.number(job.priority)],
    ...(job.timeoutMs === null ? [] : ([[t("timeout"), formats.duration(job.timeoutMs)]] as const)),
    ...(job.uniqueKey === null
      ? []
      : ([[t("uniqueKey"), <Plain key="key" text={job.uniqueKey} />]] as const)),
    ...(job.tags.length === 0
      ? []
      : ([[t("tag"), <Linked key="tags" by="tag" values={job.tags} />]] as const)),
    ...(job.batch === null
      ? []
      : ([[t("batch"), <Linked key="batch" by="batch" values={[job.batch]} />]] as const)),
    ...(job.project === null
      ? []
      : ([[t("project"), <Linked key="project" by="project" values={[job.project]} />]] as const)),
    ...(job.schedule === null
      ? []
      : ([
          [
            t("schedule"),
            <Link key="schedule" href={`/schedules#${encodeURIComponent(job.schedule)}`}>
              <Plain text={job.schedule} />
            </Link>,
          ],
        ] as const)),
    ...(job.addedVia === null ? [] : ([[t("addedVia"), job.addedVia]] as const)),
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name} class="fact">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

interface LinkedProps {
  readonly by: "tag" | "batch" | "project";
  readonly values: readonly string[];
}

function Linked({ by, values }: LinkedProps) {
  return (
    <>
      {values.map((value, n) => (
        <span key={value}>
          {n > 0 && ", "}
          <Link href={`/jobs?${new URLSearchParams({ [by]: value }).toString()}`}>
            <Plain text={value} max={80} />
          </Link>
        </span>
      ))}
    </>
  );
}
