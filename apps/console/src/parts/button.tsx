import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { type Access, useSession } from "../session.tsx";
import { useNotices } from "./notices.tsx";

interface ActionButtonProps {
  /** Who may not is not shown it. */
  readonly access: Access;
  readonly children: ComponentChildren;
  readonly kind?: "plain" | "primary" | "danger";
  readonly label?: string;
  readonly disabled?: boolean;
  readonly run: () => Promise<unknown>;
}

/** Does something at the server; busy until it is done, and says why it was not. */
export function ActionButton({
  access,
  children,
  kind = "plain",
  label,
  disabled = false,
  run,
}: ActionButtonProps) {
  const { may } = useSession();
  const { complain } = useNotices();
  const [busy, setBusy] = useState(false);
  if (!may(access)) return null;
  return (
    <button
      type="button"
      class={kind}
      disabled={busy || disabled}
      {...(label !== undefined && { "aria-label": label })}
      onClick={() => {
        setBusy(true);
        run()
          .catch(complain)
          .finally(() => setBusy(false));
      }}
    >
      {children}
    </button>
  );
}
