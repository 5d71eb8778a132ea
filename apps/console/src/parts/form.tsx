import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { usePreferences } from "../preferences.tsx";
import { reasonOf } from "./notices.tsx";

interface FormProps {
  readonly children: ComponentChildren;
  /** Of the button that sends it. */
  readonly submit: string;
  onSubmit(fields: FormData): Promise<unknown>;
  onCancel(): void;
}

/** Fields that are sent together; why they were refused is said beside them, and they stay as they are. */
export function Form({ children, submit, onSubmit, onCancel }: FormProps) {
  const { t } = usePreferences();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setBusy(true);
        setProblem(null);
        // What throws before its first wait is told like the rest.
        const send = async () => onSubmit(new FormData(event.currentTarget));
        send()
          .catch(setProblem)
          .finally(() => setBusy(false));
      }}
    >
      {children}
      {problem !== null && (
        <p class="problem" role="alert">
          <bdi>{reasonOf(problem)}</bdi>
        </p>
      )}
      <div class="buttons">
        <button type="button" onClick={onCancel}>
          {t("cancel")}
        </button>
        <button type="submit" class="primary" disabled={busy}>
          {submit}
        </button>
      </div>
    </form>
  );
}
