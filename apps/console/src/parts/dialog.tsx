import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { usePreferences } from "../preferences.tsx";

interface DialogProps {
  readonly title: string;
  readonly wide?: boolean;
  readonly children: ComponentChildren;
  readonly onClose: () => void;
}

/** Over the page; Escape closes it, and the focus goes back to where it was. */
export function Dialog({ title, wide = false, children, onClose }: DialogProps) {
  const { t } = usePreferences();
  const element = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = element.current as HTMLDialogElement;
    const before = document.activeElement as HTMLElement | null;
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "wide" : ""}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="icon" aria-label={t("close")} onClick={onClose}>
          ×
        </button>
      </header>
      {children}
    </dialog>
  );
}
