import { useEffect, useRef } from "preact/hooks";
import { usePreferences } from "../preferences.tsx";

interface SignInProps {
  /** Why it is asked for. */
  readonly said: string | null;
  readonly onEnter: (token: string) => void;
}

export function SignIn({ said, onEnter }: SignInProps) {
  const { t } = usePreferences();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  return (
    <main class="entrance">
      <h1>Jobyard</h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const token = field.current?.value.trim() ?? "";
          if (token !== "") onEnter(token);
        }}
      >
        <label>
          {t("token")}
          <input ref={field} type="password" autocomplete="off" spellcheck={false} required />
        </label>
        <p class="hint">{t("tokenHint")}</p>
        {said !== null && (
          <p class="problem" role="alert">
            <bdi>{said}</bdi>
          </p>
        )}
        <button type="submit" class="primary">
          {t("signIn")}
        </button>
      </form>
    </main>
  );
}
