import type { Progress } from "@jobyard/sdk";
import { useEffect, useRef, useState } from "preact/hooks";
import { usePreferences } from "../preferences.tsx";
import { useRefresh } from "../reading.ts";
import { useReasons } from "../reasons.ts";

export interface BulkOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

interface BulkProps {
  /** Of the button that begins it. */
  readonly label: string;
  readonly danger?: boolean;
  readonly disabled?: boolean;
  readonly run: (options: BulkOptions) => Promise<Progress>;
  readonly onClose: () => void;
}

/** Something done to many jobs: begins when told to, shows how far it is, and can be stopped. */
export function Bulk({ label, danger = false, disabled = false, run, onClose }: BulkProps) {
  const { t, formats } = usePreferences();
  const reasonOf = useReasons();
  const refresh = useRefresh();
  const [progress, setProgress] = useState<Progress | null>(null);
  const [state, setState] = useState<"ready" | "runs" | "ended">("ready");
  const [problem, setProblem] = useState<unknown>(null);
  const stopped = useRef(new AbortController());
  useEffect(() => () => stopped.current.abort(), []);

  const begin = async (): Promise<void> => {
    setState("runs");
    setProblem(null);
    stopped.current = new AbortController();
    const { signal } = stopped.current;
    try {
      await run({ signal, onProgress: setProgress });
    } catch (error) {
      if (!signal.aborted) setProblem(error);
    }
    setState("ended");
    refresh();
  };

  const { total = 0, applied = 0, refused = 0 } = progress ?? {};
  return (
    <>
      {progress !== null && (
        <p role="status">
          <progress aria-label={label} max={Math.max(1, total)} value={applied + refused} />
          <br />
          {t("progressTold", { applied: formats.number(applied), total: formats.number(total) })}
          {refused > 0 && ` · ${t("refusedTold", { n: formats.number(refused) })}`}
          {state === "ended" && problem === null && ` · ${t("done")}`}
        </p>
      )}
      {problem !== null && (
        <p class="problem" role="alert">
          <bdi>{reasonOf(problem)}</bdi>
        </p>
      )}
      <div class="buttons">
        {state === "runs" ? (
          <button type="button" onClick={() => stopped.current.abort()}>
            {t("stop")}
          </button>
        ) : (
          <button type="button" onClick={onClose}>
            {t(state === "ended" ? "close" : "cancel")}
          </button>
        )}
        {(state === "ready" || problem !== null) && (
          <button
            type="button"
            class={danger ? "danger" : "primary"}
            disabled={disabled}
            onClick={() => void begin()}
          >
            {label}
          </button>
        )}
      </div>
    </>
  );
}
