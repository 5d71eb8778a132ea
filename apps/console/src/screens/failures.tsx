import type { Schemas } from "@jobyard/sdk";
import { useState } from "preact/hooks";
import { Link, useLocation, useSearch } from "wouter-preact";
import { Bulk } from "../parts/bulk.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { Plain } from "../parts/plain.tsx";
import { QueueSelect } from "../parts/queue-select.tsx";
import { Sparkline } from "../parts/sparkline.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading } from "../reading.ts";
import { useSession } from "../session.tsx";

type Group = Schemas["ErrorGroups"]["items"][number];

const GROUPS = 100;

export function Failures() {
  const { t } = usePreferences();
  const [, navigate] = useLocation();
  const queue = new URLSearchParams(useSearch()).get("queue") ?? "";
  const [retried, setRetried] = useState<Group | null>(null);
  const groups = useReading(
    ["errors", queue],
    (client, signal) =>
      client.errors({ limit: GROUPS, ...(queue !== "" && { queue: [queue] }) }, { signal }),
    { everyMs: 5000, alsoIdleMs: 60_000, keep: true },
  );
  return (
    <>
      <h1>{t("failures")}</h1>
      <div class="tools">
        <QueueSelect
          value={queue}
          onChange={(name) => navigate(name === "" ? "/failures" : `/failures?queue=${name}`)}
        />
      </div>
      <Loaded from={groups}>
        {(items) =>
          items.length === 0 ? (
            <p class="empty">{t("noFailures")}</p>
          ) : (
            <ul class="groups">
              {items.map((group) => (
                <GroupCard
                  key={`${group.queue} ${group.group}`}
                  group={group}
                  onRetry={() => setRetried(group)}
                />
              ))}
            </ul>
          )
        }
      </Loaded>
      {retried !== null && <RetryGroup group={retried} onClose={() => setRetried(null)} />}
    </>
  );
}

interface GroupCardProps {
  readonly group: Group;
  readonly onRetry: () => void;
}

function GroupCard({ group, onRetry }: GroupCardProps) {
  const { t, formats } = usePreferences();
  const { may } = useSession();
  const { queue, message, count, firstAt, lastAt, sampleJob, perHour } = group;
  const jobs = `/jobs?${new URLSearchParams({ queue, errorGroup: group.group }).toString()}`;
  const lastDay = perHour.reduce((sum, one) => sum + one, 0);
  return (
    <li class="card group">
      <div class="group-what">
        <h2>
          <Plain text={message} max={300} />
        </h2>
        <p class="hint">
          <Plain text={queue} /> ·{" "}
          {t("firstAndLast", {
            first: formats.ago(firstAt),
            last: formats.ago(lastAt),
          })}{" "}
          · <Link href={`/jobs/${sampleJob}`}>{t("newestJob", { id: sampleJob })}</Link>
        </p>
      </div>
      <div class="group-trend">
        <Sparkline values={perHour} tone="bad" />
        <span class="hint">{t("inLastDay", { n: formats.number(lastDay) })}</span>
      </div>
      <div class="row-actions">
        <Link href={jobs} class="count">
          {t("nJobs", { n: formats.number(count) })}
        </Link>
        {may("operate") && (
          <button type="button" onClick={onRetry}>
            {t("retryGroup")}
          </button>
        )}
      </div>
    </li>
  );
}

function RetryGroup({ group, onClose }: { readonly group: Group; readonly onClose: () => void }) {
  const { t, formats } = usePreferences();
  const { client } = useSession();
  const { queue, message, count } = group;
  return (
    <Dialog title={t("retryGroup")} onClose={onClose}>
      <p>{t("retryGroupHint", { n: formats.number(count) })}</p>
      <p>
        <Plain text={message} max={300} />
      </p>
      <Bulk
        label={t("retryGroup")}
        run={(options) =>
          client.jobs.retryAll(
            { queue: [queue], state: ["failed"], errorGroup: group.group },
            options,
          )
        }
        onClose={onClose}
      />
    </Dialog>
  );
}
