import { useSession } from "../session.tsx";
import { useReading } from "../reading.ts";
import { usePreferences } from "../preferences.tsx";
import { Loaded } from "../parts/loaded.tsx";

interface NextRunsProps {
  readonly cron: string;
  readonly timezone: string;
  /** Whether to say in words what the expression means. */
  readonly inWords?: boolean;
}

/** When a schedule is due, where it is kept and where it is looked at. */
export function NextRuns({ cron, timezone, inWords = false }: NextRunsProps) {
  const { t, formats, language } = usePreferences();
  const { client } = useSession();
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const preview = useReading(
    ["preview", cron, timezone],
    (_, signal) => client.schedules.preview({ cron, timezone, count: 5 }, { signal }),
    { everyMs: 60_000, keep: true },
  );
  return (
    <Loaded from={preview}>
      {({ words, runs }) => (
        <>
          {inWords && <p class="words">{words[language]}</p>}
          <table class="runs">
            <caption class="unseen">{t("nextRuns")}</caption>
            <thead>
              <tr>
                <th scope="col">{timezone}</th>
                <th scope="col">{t("yourTime", { zone: own })}</th>
              </tr>
            </thead>
            <tbody>
              {runs.map(({ at }) => (
                <tr key={at}>
                  <td>{formats.momentIn(at, timezone)}</td>
                  <td>{formats.moment(at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
    </Loaded>
  );
}
