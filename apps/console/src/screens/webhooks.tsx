import type { Schemas } from "@jobyard/sdk";
import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { ActionButton } from "../parts/button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Form } from "../parts/form.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { useNotices } from "../parts/notices.tsx";
import { Plain } from "../parts/plain.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading, useRefresh } from "../reading.ts";
import { useSession } from "../session.tsx";

type Webhook = Schemas["Webhook"];
type EventName = Schemas["NewWebhook"]["events"][number];

const eventNames = [
  "*",
  "job.pushed",
  "job.started",
  "job.progress",
  "job.completed",
  "job.failed",
  "job.stalled",
  "job.cancelled",
  "queue.paused",
  "queue.resumed",
] as const satisfies readonly EventName[];

export function Webhooks() {
  const { t } = usePreferences();
  const { who } = useSession();
  const [edited, setEdited] = useState<Webhook | "new" | null>(null);
  const webhooks = useReading(["webhooks"], (client, signal) => client.webhooks.list({ signal }), {
    everyMs: 5000,
    alsoIdleMs: 30_000,
  });
  return (
    <>
      <div class="tools">
        <h1>{t("webhooks")}</h1>
        {who.tenant !== "*" && (
          <button type="button" class="primary end" onClick={() => setEdited("new")}>
            {t("newWebhook")}
          </button>
        )}
      </div>
      <Loaded from={webhooks}>
        {(items) =>
          items.length === 0 ? (
            <p class="empty">{t("noWebhooks")}</p>
          ) : (
            <ul class="groups">
              {items.map((webhook) => (
                <WebhookCard key={webhook.id} webhook={webhook} onEdit={() => setEdited(webhook)} />
              ))}
            </ul>
          )
        }
      </Loaded>
      {edited !== null && (
        <WebhookForm webhook={edited === "new" ? null : edited} onClose={() => setEdited(null)} />
      )}
    </>
  );
}

interface WebhookCardProps {
  readonly webhook: Webhook;
  readonly onEdit: () => void;
}

function WebhookCard({ webhook, onEdit }: WebhookCardProps) {
  const { t, formats } = usePreferences();
  const { clientOf, manyTenants } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  const { id, tenant, url, events, queue, enabled, signed } = webhook;
  const { disabledReason, failingSince, dropped } = webhook;
  const client = clientOf(tenant);
  return (
    <li class="card">
      <div class="job-head">
        <h2>
          <Link href={`/webhooks/${id}`}>
            <Plain text={url} max={120} />
          </Link>
          {manyTenants && <span class="tag">{tenant}</span>}
          {!enabled && <span class="badge paused">{t("paused")}</span>}
        </h2>
        <div class="row-actions end">
          <ActionButton
            access="administer"
            run={async () => {
              await client.call("testWebhook", { path: { id } });
              say(t("testSent"));
              refresh();
            }}
          >
            {t("test")}
          </ActionButton>
          <ActionButton
            access="administer"
            run={async () => {
              await client.webhooks.update(id, { enabled: !enabled });
              refresh();
            }}
          >
            {t(enabled ? "pause" : "resume")}
          </ActionButton>
          <button type="button" onClick={onEdit}>
            {t("edit")}
          </button>
          <ActionButton
            access="administer"
            kind="danger"
            run={async () => {
              await client.webhooks.remove(id);
              say(t("removed"));
              refresh();
            }}
          >
            {t("remove")}
          </ActionButton>
        </div>
      </div>
      <p class="hint">
        {events.map((event) => (event === "*" ? t("allEvents") : event)).join(", ")} ·{" "}
        {queue === null ? t("allQueues") : <Plain text={queue} />} ·{" "}
        {t(signed ? "signed" : "notSigned")}
      </p>
      {disabledReason !== null && <p class="problem">{disabledReason}</p>}
      {failingSince !== null && (
        <p class="bad">{t("failingSince", { when: formats.ago(failingSince) })}</p>
      )}
      {dropped > 0 && <p class="bad">{t("eventsDropped", { n: formats.number(dropped) })}</p>}
    </li>
  );
}

interface WebhookFormProps {
  /** null: a new one. */
  readonly webhook: Webhook | null;
  readonly onClose: () => void;
}

function WebhookForm({ webhook, onClose }: WebhookFormProps) {
  const { t } = usePreferences();
  const { client, clientOf } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  return (
    <Dialog title={webhook === null ? t("newWebhook") : t("edit")} onClose={onClose}>
      <Form
        submit={t(webhook === null ? "create" : "save")}
        onCancel={onClose}
        onSubmit={async (fields) => {
          const secret = fields.text("secret");
          const settings = {
            url: fields.text("url"),
            events: fields.all("events") as EventName[],
            queue: fields.text("queue") || null,
            ...(secret !== "" && { secret }),
          };
          if (webhook === null) await client.webhooks.add(settings);
          else await clientOf(webhook.tenant).webhooks.update(webhook.id, settings);
          say(t("saved"));
          refresh();
          onClose();
        }}
      >
        <label class="field">
          {t("address")}
          <input
            name="url"
            type="url"
            required
            maxLength={2048}
            defaultValue={webhook?.url ?? ""}
          />
        </label>
        <fieldset class="choices">
          <legend>{t("events")}</legend>
          {eventNames.map((name) => (
            <label key={name}>
              <input
                type="checkbox"
                name="events"
                value={name}
                defaultChecked={webhook?.events.includes(name) ?? name === "job.failed"}
              />{" "}
              {name === "*" ? t("allEvents") : name}
            </label>
          ))}
        </fieldset>
        <label class="field">
          {t("queue")}
          <input
            name="queue"
            maxLength={256}
            placeholder={t("allQueues")}
            defaultValue={webhook?.queue ?? ""}
          />
        </label>
        <label class="field">
          {t("secret")}
          <input
            name="secret"
            type="password"
            autocomplete="off"
            maxLength={256}
            placeholder={webhook?.signed === true ? t("secretKept") : t("notSigned")}
          />
        </label>
      </Form>
    </Dialog>
  );
}
