import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { usePreferences } from "../preferences.tsx";
import { useReasons } from "../reasons.ts";

/** What was written into a form. */
export class Fields {
  readonly #data: FormData;

  constructor(form: HTMLFormElement) {
    this.#data = new FormData(form);
  }

  text(name: string): string {
    const value = this.#data.get(name);
    return typeof value === "string" ? value.trim() : "";
  }

  /** null: nothing. */
  number(name: string): number | null {
    const text = this.text(name);
    return text === "" ? null : Number(text);
  }

  lines(name: string): string[] {
    const lines = this.text(name).split("\n");
    return lines.map((line) => line.trim()).filter((line) => line !== "");
  }

  checked(name: string): boolean {
    return this.#data.has(name);
  }

  /** Of what is chosen among several. */
  all(name: string): string[] {
    return this.#data.getAll(name).filter((value) => typeof value === "string");
  }

  /** JSON; nothing is undefined. @throws Error */
  json(name: string): unknown {
    const text = this.text(name);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  }
}

interface FormProps {
  readonly children: ComponentChildren;
  /** Of the button that sends it. */
  readonly submit: string;
  readonly onSubmit: (fields: Fields) => Promise<unknown>;
  readonly onCancel: () => void;
}

/** Fields that are sent together; why they were refused is said beside them, and they stay as they are. */
export function Form({ children, submit, onSubmit, onCancel }: FormProps) {
  const { t } = usePreferences();
  const reasonOf = useReasons();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setBusy(true);
        setProblem(null);
        // What throws before its first wait is told like the rest.
        const send = async () => onSubmit(new Fields(event.currentTarget));
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
