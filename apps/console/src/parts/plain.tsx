import { useState } from "preact/hooks";
import { usePreferences } from "../preferences.tsx";

/** Characters that would turn or hide the text around them, and what else has no shape. */
const UNSEEN =
  // oxlint-disable-next-line no-control-regex -- those are what it is about
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** Text with unseen characters written out. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** In one line, cut to what a row has room for. */
export function cut(text: string, max = 200): string {
  const line = text.length > max * 2 ? text.slice(0, max * 2) : text;
  const flat = line.replace(/\s+/g, " ");
  return visible(flat.length > max || line !== text ? `${flat.slice(0, max)}…` : flat);
}

/** What somebody else wrote: a name, a message. */
export function Plain({ text, max = 200 }: { readonly text: string; readonly max?: number }) {
  return <bdi class="plain">{cut(text, max)}</bdi>;
}

const STEP = 4000;

/** A long text as it is, in pieces. */
export function LongText({ text }: { readonly text: string }) {
  const { t, formats } = usePreferences();
  const [shown, setShown] = useState(STEP);
  return (
    <div class="long-text">
      <pre tabIndex={0}>
        <bdi>{visible(text.slice(0, shown))}</bdi>
      </pre>
      {text.length > shown && (
        <button type="button" class="quiet" onClick={() => setShown(shown * 8)}>
          {t("moreCharacters", { n: formats.number(text.length - shown) })}
        </button>
      )}
    </div>
  );
}
