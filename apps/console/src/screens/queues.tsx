import type { Schemas } from "@jobyard/sdk";
import { useMemo, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { Bulk } from "../parts/bulk.tsx";
import { ActionButton } from "../parts/button.tsx";
import { type Column, DataTable } from "../parts/data-table.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Form } from "../parts/form.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { useNotices } from "../parts/notices.tsx";
import { Plain } from "../parts/plain.tsx";
import { usePreferences } from "../preferences.tsx";
import { type QueueFigures, useQueueFigures } from "../queue-figures.ts";
import { useReading, useRefresh } from "../reading.ts";
import { useSession } from "../session.tsx";

type Queue = Schemas["Queue"];

interface Opened {
  readonly what: "limits" | "drain";
  readonly queue: Queue;
}

export function Queues() {
  const { t } = usePreferences();
  const figures = useQueueFigures();
  const [asked, setAsked] = useState("");
  const [opened, setOpened] = useState<Opened | null>(null);
  const close = (): void => setOpened(null);
  return (
    <>
      <h1>{t("queues")}</h1>
      <div class="tools">
        <input
          type="search"
          aria-label={t("findQueue")}
          placeholder={t("findQueue")}
          value={asked}
          onInput={(event) => setAsked(event.currentTarget.value)}
        />
      </div>
      <Loaded from={figures}>
        {(rows) => (
          <QueueTable
            rows={rows.filter(({ queue }) => queue.name.includes(asked.trim()))}
            onOpen={setOpened}
          />
        )}
      </Loaded>
      {opened?.what === "limits" && <Limits queue={opened.queue} onClose={close} />}
      {opened?.what === "drain" && <Drain queue={opened.queue} onClose={close} />}
    </>
  );
}

interface QueueTableProps {
  readonly rows: readonly QueueFigures[];
  readonly onOpen: (opened: Opened) => void;
}

function QueueTable({ rows, onOpen }: QueueTableProps) {
  const { t, formats } = usePreferences();
  const { manyTenants, may } = useSession();
  const workers = useReading(["workers"], (client, signal) => client.workers({ signal }), {
    everyMs: 10_000,
    alsoIdleMs: 15_000,
  });
  const columns = useMemo((): readonly Column<QueueFigures>[] => {
    const count = (state: keyof Queue["counts"], wide = false): Column<QueueFigures> => ({
      id: state,
      title: t(state),
      numeric: true,
      wide,
      sort: ({ queue }) => queue.counts[state],
      cell: ({ queue }) =>
        queue.counts[state] === 0 ? (
          <span class="faint">0</span>
        ) : (
          <Link href={`/jobs?queue=${queue.name}&state=${state}`}>
            {formats.short(queue.counts[state])}
          </Link>
        ),
    });
    return [
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
            {queue.typed && <span class="tag">{t("typed")}</span>}
            {queue.paused && <span class="badge paused">{t("paused")}</span>}
            <LimitsTold queue={queue} />
          </>
        ),
      },
      count("waiting"),
      count("active"),
      count("failed"),
      count("delayed", true),
      count("blocked", true),
      count("completed", true),
      {
        id: "rate",
        title: t("ratePerMinute"),
        numeric: true,
        sort: ({ recent }) => recent.completed + recent.failed,
        cell: ({ recent }) => formats.rate((recent.completed + recent.failed) / 5),
      },
      {
        id: "utilisation",
        title: t("utilisation"),
        numeric: true,
        cell: ({ queue }) => {
          const slots = slotsOf(queue, workers.data ?? []);
          return slots === 0 ? "–" : formats.percent(Math.min(1, queue.counts.active / slots));
        },
      },
      ...(may("operate")
        ? [
            {
              id: "actions",
              title: t("actions"),
              cell: ({ queue }: QueueFigures) => <Actions queue={queue} onOpen={onOpen} />,
            },
          ]
        : []),
    ];
  }, [t, formats, manyTenants, may, onOpen, workers.data]);
  return (
    <DataTable
      label={t("queues")}
      rows={rows}
      columns={columns}
      keyOf={({ queue }) => `${queue.tenant}/${queue.name}`}
      empty={t("noQueues")}
    />
  );
}

/** Jobs of a queue that could run at once. */
function slotsOf(
  { name, tenant, concurrency }: Queue,
  workers: Schemas["Workers"]["items"],
): number {
  const slots = workers
    .filter((worker) => worker.tenant === "*" || worker.tenant === tenant)
    .filter(({ queues }) => queues.length === 0 || queues.includes(name))
    .reduce((sum, worker) => sum + worker.concurrency, 0);
  return concurrency === null ? slots : slots === 0 ? concurrency : Math.min(slots, concurrency);
}

function LimitsTold({ queue: { rateLimit, concurrency } }: { readonly queue: Queue }) {
  const { t, formats } = usePreferences();
  if (rateLimit === null && concurrency === null) return null;
  const told = [
    rateLimit === null ? null : `${formats.number(rateLimit)}/s`,
    concurrency === null
      ? null
      : `${formats.number(concurrency)} ${t("concurrency").toLowerCase()}`,
  ];
  return <div class="hint">{told.filter((one) => one !== null).join(" · ")}</div>;
}

function Actions({
  queue,
  onOpen,
}: {
  readonly queue: Queue;
  readonly onOpen: (opened: Opened) => void;
}) {
  const { t } = usePreferences();
  const { clientOf, may } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  const { name, tenant, paused } = queue;
  const labelled = (word: string) => ({ "aria-label": `${word} ${name}` });
  return (
    <div class="row-actions">
      <ActionButton
        access="operate"
        label={`${t(paused ? "resume" : "pause")} ${name}`}
        run={async () => {
          const own = clientOf(tenant).getQueue(name);
          await (paused ? own.resume() : own.pause());
          say(t(paused ? "queueResumed" : "queuePaused", { queue: name }));
          refresh();
        }}
      >
        {t(paused ? "resume" : "pause")}
      </ActionButton>
      {may("administer") && (
        <button
          type="button"
          {...labelled(t("limits"))}
          onClick={() => onOpen({ what: "limits", queue })}
        >
          {t("limits")}
        </button>
      )}
      <button
        type="button"
        {...labelled(t("drain"))}
        onClick={() => onOpen({ what: "drain", queue })}
      >
        {t("drain")}
      </button>
    </div>
  );
}

function Limits({ queue, onClose }: { readonly queue: Queue; readonly onClose: () => void }) {
  const { t } = usePreferences();
  const { clientOf } = useSession();
  const { say } = useNotices();
  const refresh = useRefresh();
  return (
    <Dialog title={t("limitsOf", { queue: queue.name })} onClose={onClose}>
      <Form
        submit={t("save")}
        onCancel={onClose}
        onSubmit={async (fields) => {
          await clientOf(queue.tenant)
            .getQueue(queue.name)
            .configure({
              rateLimit: fields.number("rateLimit"),
              concurrency: fields.number("concurrency"),
              indexedPaths: fields.lines("indexedPaths"),
            });
          say(t("saved"));
          refresh();
          onClose();
        }}
      >
        {(["rateLimit", "concurrency"] as const).map((field) => (
          <label key={field} class="field">
            {t(field)}
            <input
              name={field}
              type="number"
              min={1}
              max={1_000_000}
              placeholder={t("noLimit")}
              defaultValue={queue[field] === null ? "" : String(queue[field])}
            />
          </label>
        ))}
        <label class="field">
          {t("indexedPaths")}
          <textarea
            name="indexedPaths"
            rows={3}
            spellcheck={false}
            placeholder={t("indexedPathsHint")}
            defaultValue={queue.indexedPaths.join("\n")}
          />
        </label>
      </Form>
    </Dialog>
  );
}

const drained = ["waiting", "delayed", "blocked"] as const;

function Drain({ queue, onClose }: { readonly queue: Queue; readonly onClose: () => void }) {
  const { t, formats } = usePreferences();
  const { clientOf } = useSession();
  const [states, setStates] = useState<readonly (typeof drained)[number][]>(["waiting"]);
  return (
    <Dialog title={t("drainOf", { queue: queue.name })} onClose={onClose}>
      <p>{t("drainHint")}</p>
      <fieldset class="choices">
        <legend class="unseen">{t("jobs")}</legend>
        {drained.map((state) => (
          <label key={state}>
            <input
              type="checkbox"
              checked={states.includes(state)}
              onChange={({ currentTarget: { checked } }) =>
                setStates(checked ? [...states, state] : states.filter((one) => one !== state))
              }
            />{" "}
            {t(state)} ({formats.number(queue.counts[state])})
          </label>
        ))}
      </fieldset>
      <Bulk
        label={t("drain")}
        danger
        disabled={states.length === 0}
        run={(options) =>
          clientOf(queue.tenant)
            .getQueue(queue.name)
            .drain({ states: [...states], ...options })
        }
        onClose={onClose}
      />
    </Dialog>
  );
}
