import type { Job } from "@jobyard/sdk";
import { useLocation } from "wouter-preact";
import { Dialog } from "../parts/dialog.tsx";
import { Form } from "../parts/form.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { useNotices } from "../parts/notices.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading, useRefresh } from "../reading.ts";
import { useSession } from "../session.tsx";

/** Longer data is not edited by hand. */
const MAX_EDITED = 100_000;

interface RequeueProps {
  readonly job: Job<object>;
  readonly onClose: () => void;
}

/** Adds an ended job again, with what is changed here. */
export function Requeue({ job: { id, tenant }, onClose }: RequeueProps) {
  const { t } = usePreferences();
  const { clientOf } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  const [, navigate] = useLocation();
  const whole = useReading(["requeue", id], (client, signal) => client.jobs.get(id, { signal }), {
    everyMs: Infinity,
  });
  return (
    <Dialog wide title={t("requeueOf", { id })} onClose={onClose}>
      <p class="hint">{t("requeueHint")}</p>
      <Loaded from={whole}>
        {({ name, data, priority, maxAttempts }) => {
          const text = data === undefined ? "" : JSON.stringify(data, null, 2);
          const editable = text !== "" && text.length <= MAX_EDITED;
          return (
            <Form
              submit={t("requeue")}
              onCancel={onClose}
              onSubmit={async (fields) => {
                const edited = fields.text("data");
                const added = await clientOf(tenant).jobs.requeue(id, {
                  name: fields.text("name") || null,
                  priority: fields.number("priority") ?? 0,
                  maxAttempts: fields.number("maxAttempts") ?? 1,
                  delayMs: (fields.number("delay") ?? 0) * 1000,
                  remove: fields.checked("remove"),
                  ...(editable && edited !== text && { data: fields.json("data") }),
                });
                say(t("requeued", { id: added.id }));
                refresh();
                onClose();
                navigate(`/jobs/${added.id}`);
              }}
            >
              {editable ? (
                <label class="field">
                  {t("data")}
                  <textarea name="data" rows={10} spellcheck={false} defaultValue={text} />
                </label>
              ) : (
                <p class="hint">{t("tooLongToEdit")}</p>
              )}
              <div class="columns">
                <label class="field">
                  {t("name")}
                  <input name="name" maxLength={256} defaultValue={name ?? ""} />
                </label>
                <label class="field">
                  {t("priority")}
                  <input name="priority" type="number" defaultValue={String(priority)} />
                </label>
                <label class="field">
                  {t("attempts")}
                  <input
                    name="maxAttempts"
                    type="number"
                    min={1}
                    max={1000}
                    defaultValue={String(maxAttempts)}
                  />
                </label>
                <label class="field">
                  {t("delaySeconds")}
                  <input name="delay" type="number" min={0} defaultValue="0" />
                </label>
              </div>
              <label>
                <input name="remove" type="checkbox" /> {t("removeOld")}
              </label>
            </Form>
          );
        }}
      </Loaded>
    </Dialog>
  );
}
