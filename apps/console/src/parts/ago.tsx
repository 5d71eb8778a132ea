import { usePreferences } from "../preferences.tsx";

/** How long ago something was, and when exactly to who points at it. */
export function Ago({ at }: { readonly at: string }) {
  const { formats } = usePreferences();
  return (
    <time dateTime={at} title={formats.moment(at)}>
      {formats.ago(at)}
    </time>
  );
}
