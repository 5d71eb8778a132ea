import { usePreferences } from "../preferences.tsx";
import { useReading } from "../reading.ts";

interface QueueSelectProps {
  /** Empty: all of them. */
  readonly value: string;
  readonly onChange: (queue: string) => void;
}

export function QueueSelect({ value, onChange }: QueueSelectProps) {
  const { t } = usePreferences();
  const queues = useReading(["queues"], (client, signal) => client.queues.list({ signal }), {
    everyMs: 2000,
  });
  const names = new Set((queues.data ?? []).map(({ name }) => name));
  if (value !== "") names.add(value);
  return (
    <select
      aria-label={t("queue")}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    >
      <option value="">{t("allQueues")}</option>
      {[...names].toSorted().map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}
