import type { Schemas } from "@jobyard/sdk";
import { useMemo, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { Ago } from "../parts/ago.tsx";
import { ActionButton } from "../parts/button.tsx";
import { type Column, DataTable } from "../parts/data-table.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { useNotices } from "../parts/notices.tsx";
import { LongText, Plain } from "../parts/plain.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading, useRefresh } from "../reading.ts";
import { useSession } from "../session.tsx";

type Delivery = Schemas["Delivery"];

const PAGE = 50;
const states = ["pending", "delivered", "failed"] as const satisfies readonly Delivery["state"][];

/** What was sent to one webhook, and how it went. */
export function Deliveries({ params: { id } }: { readonly params: { readonly id: string } }) {
  const { t } = usePreferences();
  const [state, setState] = useState<Delivery["state"] | null>(null);
  const [cursors, setCursors] = useState<readonly string[]>([]);
  const [opened, setOpened] = useState<string | null>(null);
  const cursor = cursors.at(-1);
  const webhook = useReading(
    ["webhook", id],
    (client, signal) => client.webhooks.get(id, { signal }),
    { everyMs: 10_000 },
  );
  const page = useReading(
    ["deliveries", id, state, cursor],
    (client, signal) =>
      client.webhooks.deliveries(
        id,
        {
          limit: PAGE,
          ...(state !== null && { state }),
          ...(cursor !== undefined && { cursor: Number(cursor) }),
        },
        { signal },
      ),
    { everyMs: 2000, alsoIdleMs: 15_000, keep: true },
  );
  const columns = useColumns(id, setOpened);
  return (
    <>
      <p class="crumbs">
        <Link href="/webhooks">{t("webhooks")}</Link>
      </p>
      <h1>
        <Plain text={webhook.data?.url ?? id} />
      </h1>
      <div class="chips" role="group" aria-label={t("state")}>
        {states.map((one) => (
          <button
            key={one}
            type="button"
            class="chip"
            aria-pressed={state === one}
            onClick={() => {
              setState(state === one ? null : one);
              setCursors([]);
            }}
          >
            {t(one)}
          </button>
        ))}
      </div>
      <Loaded from={page}>
        {({ items, next }) => (
          <>
            <DataTable
              label={t("deliveries")}
              rows={items}
              columns={columns}
              keyOf={(delivery) => delivery.id}
              empty={t("noDeliveries")}
            />
            <div class="pager">
              <span />
              <button
                type="button"
                disabled={cursors.length === 0}
                onClick={() => setCursors(cursors.slice(0, -1))}
              >
                {t("newer")}
              </button>
              <button
                type="button"
                disabled={next === null}
                onClick={() => next !== null && setCursors([...cursors, next])}
              >
                {t("older")}
              </button>
            </div>
          </>
        )}
      </Loaded>
      {opened !== null && <Detail webhook={id} delivery={opened} onClose={() => setOpened(null)} />}
    </>
  );
}

function useColumns(
  webhook: string,
  onOpen: (delivery: string) => void,
): readonly Column<Delivery>[] {
  const { t, formats } = usePreferences();
  const { client } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  return useMemo(
    (): readonly Column<Delivery>[] => [
      {
        id: "event",
        title: t("event"),
        cell: ({ id, event }) => (
          <button type="button" class="quiet" onClick={() => onOpen(id)}>
            {event}
          </button>
        ),
      },
      {
        id: "state",
        title: t("state"),
        cell: ({ state }) => (
          <span class={`badge ${state === "delivered" ? "completed" : state}`}>{t(state)}</span>
        ),
      },
      {
        id: "job",
        title: t("job"),
        cell: ({ jobId }) => (jobId === null ? "–" : <Link href={`/jobs/${jobId}`}>{jobId}</Link>),
      },
      {
        id: "status",
        title: t("answer"),
        cell: ({ status, error }) => status ?? <Plain text={error ?? "–"} max={80} />,
      },
      {
        id: "attempts",
        title: t("attempts"),
        numeric: true,
        wide: true,
        cell: ({ attempts }) => formats.number(attempts),
      },
      {
        id: "duration",
        title: t("running"),
        numeric: true,
        wide: true,
        cell: ({ durationMs }) => formats.duration(durationMs),
      },
      { id: "created", title: t("created"), cell: ({ createdAt }) => <Ago at={createdAt} /> },
      {
        id: "replay",
        title: t("actions"),
        cell: ({ id, state }) =>
          state === "pending" ? null : (
            <ActionButton
              access="administer"
              label={`${t("replay")} ${id}`}
              run={async () => {
                await client.webhooks.replay(webhook, id);
                say(t("replayed"));
                refresh();
              }}
            >
              {t("replay")}
            </ActionButton>
          ),
      },
    ],
    [t, formats, client, say, refresh, webhook, onOpen],
  );
}

interface DetailProps {
  readonly webhook: string;
  readonly delivery: string;
  readonly onClose: () => void;
}

function Detail({ webhook, delivery, onClose }: DetailProps) {
  const { t, formats } = usePreferences();
  const detail = useReading(
    ["delivery", webhook, delivery],
    (client, signal) => client.call("getDelivery", { path: { id: webhook, delivery } }, { signal }),
    { everyMs: 2000 },
  );
  return (
    <Dialog wide title={t("delivery", { id: delivery })} onClose={onClose}>
      <Loaded from={detail}>
        {({ body, history }) => (
          <>
            <h3>{t("sent")}</h3>
            <LongText text={body} />
            <h3>{t("attempts")}</h3>
            <ol class="timeline">
              {history.map(({ at, durationMs, status, error, response }) => (
                <li key={at} class={error === null ? "completed" : "failed"}>
                  <time dateTime={at}>{formats.moment(at)}</time> · {formats.duration(durationMs)} ·{" "}
                  {status ?? "–"}
                  {error !== null && (
                    <p class="bad">
                      <Plain text={error} max={300} />
                    </p>
                  )}
                  {response !== "" && <LongText text={response} />}
                </li>
              ))}
            </ol>
          </>
        )}
      </Loaded>
    </Dialog>
  );
}
