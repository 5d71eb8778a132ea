import type { Schemas } from "@jobyard/sdk";
import { useEffect, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { ActionButton } from "../parts/button.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { useNotices } from "../parts/notices.tsx";
import { Plain } from "../parts/plain.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading, useRefresh } from "../reading.ts";
import { useSession } from "../session.tsx";
import { NextRuns } from "./next-runs.tsx";
import { ScheduleForm } from "./schedule-form.tsx";

type Schedule = Schemas["Schedule"];

export function Schedules() {
  const { t } = usePreferences();
  const { may, who } = useSession();
  const [edited, setEdited] = useState<Schedule | "new" | null>(null);
  const schedules = useReading(
    ["schedules"],
    (client, signal) => client.schedules.list({ signal }),
    { everyMs: 5000, alsoIdleMs: 30_000 },
  );
  const loaded = schedules.data !== undefined;
  // Where another screen has pointed to.
  useEffect(() => {
    const name = decodeURIComponent(location.hash.slice(1));
    if (loaded && name !== "") document.getElementById(`schedule ${name}`)?.scrollIntoView();
  }, [loaded]);
  return (
    <>
      <div class="tools">
        <h1>{t("schedules")}</h1>
        {may("administer") && who.tenant !== "*" && (
          <button type="button" class="primary end" onClick={() => setEdited("new")}>
            {t("newSchedule")}
          </button>
        )}
      </div>
      <Loaded from={schedules}>
        {(items) =>
          items.length === 0 ? (
            <p class="empty">{t("noSchedules")}</p>
          ) : (
            <ul class="groups">
              {items.map((schedule) => (
                <ScheduleCard
                  key={`${schedule.tenant}/${schedule.name}`}
                  schedule={schedule}
                  onEdit={() => setEdited(schedule)}
                />
              ))}
            </ul>
          )
        }
      </Loaded>
      {edited !== null && (
        <ScheduleForm schedule={edited === "new" ? null : edited} onClose={() => setEdited(null)} />
      )}
    </>
  );
}

interface ScheduleCardProps {
  readonly schedule: Schedule;
  readonly onEdit: () => void;
}

function ScheduleCard({ schedule, onEdit }: ScheduleCardProps) {
  const { t, formats, language } = usePreferences();
  const { may, manyTenants } = useSession();
  const [unfolded, setUnfolded] = useState(false);
  const { name, tenant, cron, timezone, words, enabled, description, queue } = schedule;
  const { nextRunAt, lastRunAt } = schedule;
  return (
    <li class="card" id={`schedule ${name}`}>
      <div class="job-head">
        <h2>
          <Plain text={name} />
          {manyTenants && <span class="tag">{tenant}</span>}
          {!enabled && <span class="badge paused">{t("paused")}</span>}
        </h2>
        {may("administer") && <Actions schedule={schedule} onEdit={onEdit} />}
      </div>
      <p class="words">{words[language]}</p>
      {description !== null && <Plain text={description} max={500} />}
      <p class="hint">
        <code>{cron}</code> · {timezone} · <Plain text={queue} /> ·{" "}
        <Link href={`/jobs?${new URLSearchParams({ schedule: name }).toString()}`}>
          {t("showJobs")}
        </Link>
        {lastRunAt !== null && ` · ${t("lastRun", { when: formats.ago(lastRunAt) })}`}
        {nextRunAt !== null && enabled && ` · ${t("nextRun", { when: formats.ago(nextRunAt) })}`}
      </p>
      <details onToggle={(event) => setUnfolded(event.currentTarget.open)}>
        <summary>{t("nextRuns")}</summary>
        {unfolded && <NextRuns cron={cron} timezone={timezone} />}
      </details>
    </li>
  );
}

function Actions({ schedule: { name, tenant, enabled }, onEdit }: ScheduleCardProps) {
  const { t } = usePreferences();
  const { clientOf } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  const { schedules } = clientOf(tenant);
  const labelled = (word: string): string => `${word} ${name}`;
  return (
    <div class="row-actions end">
      <ActionButton
        access="administer"
        label={labelled(t("runNow"))}
        run={async () => {
          const { id } = await schedules.run(name);
          say(t("requeued", { id }));
          refresh();
        }}
      >
        {t("runNow")}
      </ActionButton>
      <ActionButton
        access="administer"
        label={labelled(t(enabled ? "pause" : "resume"))}
        run={async () => {
          await schedules.update(name, { enabled: !enabled });
          refresh();
        }}
      >
        {t(enabled ? "pause" : "resume")}
      </ActionButton>
      <button type="button" aria-label={labelled(t("edit"))} onClick={onEdit}>
        {t("edit")}
      </button>
      <ActionButton
        access="administer"
        kind="danger"
        label={labelled(t("remove"))}
        run={async () => {
          await schedules.remove(name);
          say(t("removed"));
          refresh();
        }}
      >
        {t("remove")}
      </ActionButton>
    </div>
  );
}
