import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { useNotices } from "./parts/notices.tsx";
import { cut } from "./parts/plain.tsx";
import { usePreferences } from "./preferences.tsx";
import { useReading, useRefresh } from "./reading.ts";
import { screens } from "./screens/index.ts";
import { useSession } from "./session.tsx";

interface Entry {
  readonly id: string;
  readonly text: string;
  readonly run: () => unknown;
}

const SHOWN = 12;

/** Goes anywhere and does the usual, by a few letters. */
export function Palette({ onClose }: { readonly onClose: () => void }) {
  const { t } = usePreferences();
  const [asked, setAsked] = useState("");
  const [chosen, setChosen] = useState(0);
  const dialog = useRef<HTMLDialogElement>(null);
  const list = useId();
  const { complain } = useNotices();
  const entries = useEntries(asked);
  const found = useMemo(() => {
    const words = asked.toLowerCase().split(/\s+/);
    return entries
      .filter(({ text }) => words.every((word) => text.toLowerCase().includes(word)))
      .slice(0, SHOWN);
  }, [entries, asked]);
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    dialog.current?.showModal();
    return () => before?.focus();
  }, []);
  const run = (entry: Entry | undefined): void => {
    if (entry === undefined) return;
    onClose();
    Promise.resolve(entry.run()).catch(complain);
  };
  return (
    <dialog
      ref={dialog}
      class="palette"
      aria-label={t("findOrDo")}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <input
        type="search"
        role="combobox"
        aria-expanded="true"
        aria-controls={list}
        aria-label={t("findOrDo")}
        aria-activedescendant={found.length > 0 ? `${list}-${chosen}` : undefined}
        placeholder={t("paletteHint")}
        value={asked}
        onInput={({ currentTarget: { value } }) => {
          setAsked(value);
          setChosen(0);
        }}
        onKeyDown={(event) => {
          const { key } = event;
          if (key === "Enter") run(found[chosen]);
          else if (key === "ArrowDown") setChosen(Math.min(chosen + 1, found.length - 1));
          else if (key === "ArrowUp") setChosen(Math.max(chosen - 1, 0));
          else if (key === "Escape") onClose();
          else return;
          event.preventDefault();
        }}
      />
      <ul id={list} role="listbox" aria-label={t("findOrDo")}>
        {found.map((entry, n) => (
          <li
            key={entry.id}
            id={`${list}-${n}`}
            role="option"
            aria-selected={n === chosen}
            onMouseMove={() => setChosen(n)}
            onClick={() => run(entry)}
          >
            {cut(entry.text, 100)}
          </li>
        ))}
        {found.length === 0 && (
          <li role="option" aria-selected="false" aria-disabled="true">
            {t("nothingHere")}
          </li>
        )}
      </ul>
    </dialog>
  );
}

function useEntries(asked: string): readonly Entry[] {
  const { t, theme, setTheme, language, setLanguage } = usePreferences();
  const { may, clientOf, manyTenants } = useSession();
  const [, navigate] = useLocation();
  const refresh = useRefresh();
  const { data: queues = [] } = useReading(
    ["queues"],
    (client, signal) => client.queues.list({ signal }),
    { everyMs: 2000 },
  );
  return useMemo(() => {
    const entries: Entry[] = [];
    const id = asked.trim();
    if (/^\d{1,16}$/.test(id)) {
      entries.push({ id: "job", text: `${t("job")} ${id}`, run: () => navigate(`/jobs/${id}`) });
    }
    for (const { path, title, access } of screens) {
      if (title === undefined || !may(access)) continue;
      entries.push({ id: path, text: t(title), run: () => navigate(path) });
    }
    for (const { name, tenant, paused } of queues) {
      const shown = manyTenants ? `${name} (${tenant})` : name;
      const key = `${tenant}/${name}`;
      entries.push({
        id: `jobs ${key}`,
        text: `${t("jobs")}: ${shown}`,
        run: () => navigate(`/jobs?queue=${name}`),
      });
      if (!may("operate")) continue;
      entries.push({
        id: `pause ${key}`,
        text: `${t(paused ? "resume" : "pause")}: ${shown}`,
        run: async () => {
          const queue = clientOf(tenant).getQueue(name);
          await (paused ? queue.resume() : queue.pause());
          refresh();
        },
      });
    }
    entries.push(
      {
        id: "theme",
        text: `${t("theme")}: ${t(theme === "dark" ? "light" : "dark")}`,
        run: () => setTheme(theme === "dark" ? "light" : "dark"),
      },
      {
        id: "language",
        text: language === "en" ? "Idioma: Español" : "Language: English",
        run: () => setLanguage(language === "en" ? "es" : "en"),
      },
    );
    return entries;
  }, [
    asked,
    queues,
    t,
    theme,
    language,
    may,
    manyTenants,
    navigate,
    clientOf,
    refresh,
    setTheme,
    setLanguage,
  ]);
}
