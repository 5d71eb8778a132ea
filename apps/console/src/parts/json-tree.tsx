import { useState } from "preact/hooks";
import { usePreferences } from "../preferences.tsx";
import { visible } from "./plain.tsx";

/** Entries and characters shown at once; the rest is behind a button. */
const ENTRIES = 100;
const CHARACTERS = 1000;

/** JSON that folds. Only what is unfolded is made, so neither size nor depth matters. */
export function JsonTree({ value, label }: { readonly value: unknown; readonly label: string }) {
  return (
    <div class="json" role="group" aria-label={label}>
      <Node value={value} open={1} />
    </div>
  );
}

interface NodeProps {
  readonly name?: string;
  readonly value: unknown;
  /** Levels that are unfolded from the start. */
  readonly open: number;
}

function Node({ name, value, open }: NodeProps) {
  const { formats, t } = usePreferences();
  const [unfolded, setUnfolded] = useState(open > 0);
  const [shown, setShown] = useState(ENTRIES);
  const label = name === undefined ? null : <span class="json-name">{visible(name)}: </span>;
  if (typeof value !== "object" || value === null) {
    return (
      <div class="json-line">
        {label}
        <Scalar value={value} />
      </div>
    );
  }
  const list = Array.isArray(value);
  const keys = list ? value : Object.keys(value);
  const size = keys.length;
  if (size === 0) {
    return (
      <div class="json-line">
        {label}
        <span>{list ? "[]" : "{}"}</span>
      </div>
    );
  }
  const entries = unfolded
    ? (list ? (value as unknown[]).slice(0, shown) : (keys as string[]).slice(0, shown)).map(
        (one, n) =>
          list
            ? ([String(n), one] as const)
            : ([one as string, (value as Record<string, unknown>)[one as string]] as const),
      )
    : [];
  return (
    <div class="json-node">
      <button
        type="button"
        class="json-fold"
        aria-expanded={unfolded}
        onClick={() => setUnfolded(!unfolded)}
      >
        {label}
        <span class="json-size">
          {list ? `[${formats.number(size)}]` : `{${formats.number(size)}}`}
        </span>
      </button>
      {unfolded && (
        <div class="json-inside">
          {entries.map(([key, one]) => (
            <Node key={key} name={key} value={one} open={size > 20 ? 0 : open - 1} />
          ))}
          {size > shown && (
            <button type="button" class="quiet" onClick={() => setShown(shown + ENTRIES * 5)}>
              {t("moreEntries", { n: formats.number(size - shown) })}
            </button>
          )}
        </div>
      )}
    </div>
  );
}

function Scalar({ value }: { readonly value: unknown }) {
  const { t, formats } = usePreferences();
  const [shown, setShown] = useState(CHARACTERS);
  if (typeof value !== "string") {
    return <span class={`json-${typeof value}`}>{String(value)}</span>;
  }
  return (
    <>
      <bdi class="json-string">{JSON.stringify(visible(value.slice(0, shown)))}</bdi>
      {value.length > shown && (
        <button type="button" class="quiet" onClick={() => setShown(shown * 10)}>
          {t("moreCharacters", { n: formats.number(value.length - shown) })}
        </button>
      )}
    </>
  );
}
