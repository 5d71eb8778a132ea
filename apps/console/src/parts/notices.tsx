import { type ComponentChildren, createContext } from "preact";
import { useCallback, useContext, useMemo, useRef, useState } from "preact/hooks";
import { usePreferences } from "../preferences.tsx";
import { useReasons } from "../reasons.ts";
import { cut } from "./plain.tsx";

interface Notice {
  readonly id: number;
  readonly text: string;
  readonly bad: boolean;
}

interface Notices {
  readonly say: (text: string) => void;
  /** Why the server, or the way to it, refused something. */
  readonly complain: (error: unknown) => void;
}

const Context = createContext<Notices | null>(null);
const SHOWN_MS = 6000;
const MAX_SHOWN = 4;

export function useNotices(): Notices {
  const notices = useContext(Context);
  if (notices === null) throw new Error("Outside of NoticesProvider");
  return notices;
}

export function NoticesProvider({ children }: { readonly children: ComponentChildren }) {
  const { t } = usePreferences();
  const reasonOf = useReasons();
  const [shown, setShown] = useState<readonly Notice[]>([]);
  const next = useRef(0);
  const close = useCallback(
    (id: number) => setShown((all) => all.filter((one) => one.id !== id)),
    [],
  );
  const value = useMemo(() => {
    const add = (text: string, bad: boolean): void => {
      const id = next.current++;
      setShown((all) => [...all.slice(1 - MAX_SHOWN), { id, text, bad }]);
      // What went wrong stays until it is read.
      if (!bad) setTimeout(() => close(id), SHOWN_MS);
    };
    return {
      say: (text: string) => add(text, false),
      complain: (error: unknown) => add(reasonOf(error), true),
    };
  }, [close, reasonOf]);
  return (
    <Context.Provider value={value}>
      {children}
      <div class="notices" role="status" aria-live="polite">
        {shown.map(({ id, text, bad }) => (
          <div key={id} class={bad ? "notice bad" : "notice"}>
            <bdi>{cut(text, 400)}</bdi>
            <button type="button" class="icon" aria-label={t("close")} onClick={() => close(id)}>
              ×
            </button>
          </div>
        ))}
      </div>
    </Context.Provider>
  );
}
