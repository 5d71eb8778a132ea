import type { ComponentChildren } from "preact";
import { usePreferences } from "../preferences.tsx";
import { useReasons } from "../reasons.ts";

interface Reading<Data> {
  readonly data: Data | undefined;
  readonly error: unknown;
  readonly refetch: () => unknown;
}

/** What a query has read; before, that it is being read, or why it cannot be. */
export function Loaded<Data>({
  from,
  children,
}: {
  readonly from: Reading<Data>;
  readonly children: (data: Data) => ComponentChildren;
}) {
  const { t } = usePreferences();
  const reasonOf = useReasons();
  const { data, error } = from;
  if (data !== undefined) return <>{children(data)}</>;
  if (error == null) return <p class="empty">{t("loading")}</p>;
  return (
    <div class="problem" role="alert">
      <bdi>{reasonOf(error)}</bdi>{" "}
      <button type="button" onClick={() => void from.refetch()}>
        {t("tryAgain")}
      </button>
    </div>
  );
}
