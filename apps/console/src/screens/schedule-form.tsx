import type { Schemas } from "@jobyard/sdk";
import { useEffect, useId, useState } from "preact/hooks";
import { Dialog } from "../parts/dialog.tsx";
import { type Fields, Form } from "../parts/form.tsx";
import { useNotices } from "../parts/notices.tsx";
import { usePreferences } from "../preferences.tsx";
import { useRefresh } from "../reading.ts";
import { useSession } from "../session.tsx";
import { NextRuns } from "./next-runs.tsx";

type Schedule = Schemas["Schedule"];
type Template = Schemas["JobTemplate"];

const SETTLED_MS = 400;

interface ScheduleFormProps {
  /** null: a new one. */
  readonly schedule: Schedule | null;
  readonly onClose: () => void;
}

export function ScheduleForm({ schedule, onClose }: ScheduleFormProps) {
  const { t } = usePreferences();
  const { client, clientOf } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  const zones = useId();
  const [cron, setCron] = useState(schedule?.cron ?? "0 6 * * *");
  const [timezone, setTimezone] = useState(schedule?.timezone ?? "UTC");
  const shown = useSettled({ cron, timezone });
  const { name, data, ...rest } = (schedule?.job ?? {}) as Partial<Template>;

  const save = async (fields: Fields): Promise<void> => {
    const settings = {
      cron,
      timezone,
      description: fields.text("description") || null,
      job: {
        ...rest,
        queue: fields.text("queue"),
        name: fields.text("jobName") || null,
        data: fields.json("data") ?? null,
      },
    };
    if (schedule === null) await client.schedules.add({ name: fields.text("name"), ...settings });
    else await clientOf(schedule.tenant).schedules.update(schedule.name, settings);
    say(t("saved"));
    refresh();
    onClose();
  };

  return (
    <Dialog wide title={schedule?.name ?? t("newSchedule")} onClose={onClose}>
      <Form submit={t(schedule === null ? "create" : "save")} onCancel={onClose} onSubmit={save}>
        {schedule === null && (
          <label class="field">
            {t("name")}
            <input name="name" required maxLength={256} />
          </label>
        )}
        <div class="columns">
          <label class="field">
            {t("cron")}
            <input
              value={cron}
              required
              spellcheck={false}
              onInput={(event) => setCron(event.currentTarget.value)}
            />
          </label>
          <label class="field">
            {t("timezone")}
            <input
              value={timezone}
              list={zones}
              required
              onInput={(event) => setTimezone(event.currentTarget.value)}
            />
            <datalist id={zones}>
              {Intl.supportedValuesOf("timeZone").map((zone) => (
                <option key={zone} value={zone} />
              ))}
            </datalist>
          </label>
        </div>
        <NextRuns {...shown} inWords />
        <label class="field">
          {t("description")}
          <input name="description" maxLength={10_000} defaultValue={schedule?.description ?? ""} />
        </label>
        <div class="columns">
          <label class="field">
            {t("queue")}
            <input name="queue" required maxLength={256} defaultValue={schedule?.queue ?? ""} />
          </label>
          <label class="field">
            {t("jobName")}
            <input name="jobName" maxLength={256} defaultValue={name ?? ""} />
          </label>
        </div>
        <label class="field">
          {t("dataJson")}
          <textarea
            name="data"
            rows={5}
            spellcheck={false}
            defaultValue={data == null ? "" : JSON.stringify(data, null, 2)}
          />
        </label>
      </Form>
    </Dialog>
  );
}

/** The value once nobody types any more. */
function useSettled<Value>(value: Value): Value {
  const [settled, setSettled] = useState(value);
  const key = JSON.stringify(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [key]);
  return settled;
}
