import type { Job } from "@jobyard/sdk";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Link, useLocation, useSearch } from "wouter-preact";
import {
  addressOf,
  type BulkAction,
  bulkActions,
  type Condition,
  conditions,
  filterFor,
  filterOf,
  type Search,
  searchOf,
} from "../job-filter.ts";
import { Ago } from "../parts/ago.tsx";
import { Bulk } from "../parts/bulk.tsx";
import { type Column, DataTable } from "../parts/data-table.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { cut, Plain } from "../parts/plain.tsx";
import { QueueSelect } from "../parts/queue-select.tsx";
import { jobStates, StateBadge } from "../parts/state-badge.tsx";
import { usePreferences } from "../preferences.tsx";
import { useReading } from "../reading.ts";
import { useSession } from "../session.tsx";

type Row = Job<object>;

const PAGE = 50;

export function Jobs() {
  const { t } = usePreferences();
  const address = useSearch();
  const [, navigate] = useLocation();
  const search = useMemo(() => searchOf(address), [address]);
  const [bulk, setBulk] = useState<BulkAction | null>(null);
  const change = (changes: Partial<Search>): void => {
    navigate(addressOf({ ...search, ...changes }));
  };
  return (
    <>
      <h1>{t("jobs")}</h1>
      <Tools search={search} onChange={change} onBulk={setBulk} />
      <Pages key={address} search={search} />
      {bulk !== null && <BulkDialog action={bulk} search={search} onClose={() => setBulk(null)} />}
    </>
  );
}

interface ToolsProps {
  readonly search: Search;
  readonly onChange: (changes: Partial<Search>) => void;
  readonly onBulk: (action: BulkAction) => void;
}

function Tools({ search, onChange, onBulk }: ToolsProps) {
  const { t } = usePreferences();
  const { may } = useSession();
  return (
    <>
      <div class="tools">
        <SearchField search={search} onChange={onChange} />
        <QueueSelect
          value={search.queues.length === 1 ? (search.queues[0] ?? "") : ""}
          onChange={(name) => onChange({ queues: name === "" ? [] : [name] })}
        />
        {may("operate") && (
          <div class="row-actions end">
            {(Object.keys(bulkActions) as BulkAction[]).map((action) => (
              <button
                key={action}
                type="button"
                disabled={filterFor(action, search) === null}
                onClick={() => onBulk(action)}
              >
                {t(`${action}All`)}
              </button>
            ))}
          </div>
        )}
      </div>
      <div class="chips" role="group" aria-label={t("state")}>
        {jobStates.map((state) => {
          const chosen = search.states.includes(state);
          return (
            <button
              key={state}
              type="button"
              class={`chip ${state}`}
              aria-pressed={chosen}
              onClick={() =>
                onChange({
                  states: chosen
                    ? search.states.filter((one) => one !== state)
                    : [...search.states, state],
                })
              }
            >
              {t(state)}
            </button>
          );
        })}
        {(Object.entries(search.conditions) as [Condition, string][]).map(([name, value]) => (
          <button
            key={name}
            type="button"
            class="chip"
            aria-label={t("removeCondition", { what: `${t(name)}: ${cut(value, 60)}` })}
            onClick={() => {
              const { [name]: _, ...rest } = search.conditions;
              onChange({ conditions: rest });
            }}
          >
            {t(name)}: <Plain text={value} max={60} /> ×
          </button>
        ))}
      </div>
    </>
  );
}

function SearchField({ search, onChange }: Omit<ToolsProps, "onBulk">) {
  const { t } = usePreferences();
  const [condition, setCondition] = useState<Condition>("id");
  const [text, setText] = useState("");
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const value = text.trim();
        if (value === "") return;
        onChange({ conditions: { ...search.conditions, [condition]: value } });
        setText("");
      }}
    >
      <select
        aria-label={t("searchBy")}
        value={condition}
        onChange={({ currentTarget: { value } }) => setCondition(value as Condition)}
      >
        {conditions
          .filter((one) => one !== "errorGroup")
          .map((one) => (
            <option key={one} value={one}>
              {t(one)}
            </option>
          ))}
      </select>
      <input
        type="search"
        aria-label={t("toSearch")}
        placeholder={condition === "payload" ? "data.wellId = WELL-1250" : t("toSearch")}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
    </form>
  );
}

/** Jobs that come meanwhile shift nothing: each page begins where the one before has ended. */
function Pages({ search }: { readonly search: Search }) {
  const { t, formats } = usePreferences();
  const [cursors, setCursors] = useState<readonly string[]>([]);
  const cursor = cursors.at(-1);
  const page = useReading(
    ["jobs", search, cursor],
    async (client, signal) => ({
      // Its place with it: until the next page is there, the one before is shown.
      before: cursors.length * PAGE,
      ...(await client.jobs.page(
        { ...filterOf(search), limit: PAGE, ...(cursor !== undefined && { cursor }) },
        { signal },
      )),
    }),
    { everyMs: 2000, alsoIdleMs: 15_000, keep: true },
  );
  const columns = useColumns();
  return (
    <Loaded from={page}>
      {({ before, items, total, next }) => (
        <>
          <DataTable
            label={t("jobs")}
            rows={items}
            columns={columns}
            keyOf={({ id }) => id}
            empty={t("noJobs")}
          />
          <div class="pager">
            <span role="status">
              {t("pageTold", {
                from: formats.number(items.length === 0 ? 0 : before + 1),
                to: formats.number(before + items.length),
                total: formats.number(total),
              })}
            </span>
            <button
              type="button"
              disabled={cursors.length === 0}
              onClick={() => setCursors(cursors.slice(0, -1))}
            >
              {t("newer")}
            </button>
            <button
              type="button"
              disabled={next === null || page.isPlaceholderData}
              onClick={() => next !== null && setCursors([...cursors, next])}
            >
              {t("older")}
            </button>
          </div>
        </>
      )}
    </Loaded>
  );
}

function useColumns(): readonly Column<Row>[] {
  const { t } = usePreferences();
  const { manyTenants } = useSession();
  return useMemo(
    (): readonly Column<Row>[] => [
      {
        id: "id",
        title: t("job"),
        cell: ({ id, name }) => (
          <Link href={`/jobs/${id}`}>
            {id}
            {name !== null && (
              <>
                {" "}
                <Plain text={name} max={50} />
              </>
            )}
          </Link>
        ),
      },
      { id: "state", title: t("state"), cell: ({ state }) => <StateBadge state={state} /> },
      {
        id: "queue",
        title: t("queue"),
        cell: ({ queue, tenant }) => (
          <>
            <Plain text={queue} max={50} />
            {manyTenants && <span class="tag">{tenant}</span>}
          </>
        ),
      },
      {
        id: "created",
        title: t("created"),
        cell: ({ createdAt }) => <Ago at={createdAt} />,
      },
      {
        id: "attempts",
        title: t("attempts"),
        numeric: true,
        wide: true,
        cell: ({ attemptsMade, maxAttempts }) => `${attemptsMade}/${maxAttempts}`,
      },
      {
        id: "how",
        title: t("how"),
        cell: (job) => <How job={job} />,
      },
    ],
    [t, manyTenants],
  );
}

function How({ job }: { readonly job: Row }) {
  const { t, formats } = usePreferences();
  const { state, progress, startedAt, finishedAt, error, runAt, tags } = job;
  if (state === "active") {
    return <progress max={100} value={progress} aria-label={t("progress")} class="small" />;
  }
  if (state === "delayed") return <>{formats.ago(runAt)}</>;
  if (error !== null && state !== "completed") return <Plain text={error.message} max={90} />;
  if (state === "completed" && startedAt !== null && finishedAt !== null) {
    return <>{formats.duration(Date.parse(finishedAt) - Date.parse(startedAt))}</>;
  }
  return (
    <>
      {tags.slice(0, 3).map((tag) => (
        <span key={tag} class="tag">
          <Plain text={tag} max={30} />
        </span>
      ))}
    </>
  );
}

interface BulkDialogProps {
  readonly action: BulkAction;
  readonly search: Search;
  readonly onClose: () => void;
}

function BulkDialog({ action, search, onClose }: BulkDialogProps) {
  const { t, formats } = usePreferences();
  const { client } = useSession();
  const [filter] = useState(() => filterFor(action, search));
  const [count, setCount] = useState<number | null>(null);
  useEffect(() => {
    if (filter === null) return undefined;
    const gone = new AbortController();
    client.jobs.page({ ...filter, limit: 0 }, { signal: gone.signal }).then(
      ({ total }) => setCount(total),
      () => undefined,
    );
    return () => gone.abort();
  }, [client, filter]);
  if (filter === null) return null;
  return (
    <Dialog title={t(`${action}All`)} onClose={onClose}>
      <p>{t(`${action}AllHint`, { n: count === null ? "…" : formats.number(count) })}</p>
      <Bulk
        label={t(`${action}All`)}
        danger={bulkActions[action].danger}
        disabled={count === 0}
        run={(options) => client.jobs[`${action}All`](filter, options)}
        onClose={onClose}
      />
    </Dialog>
  );
}
