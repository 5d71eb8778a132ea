import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { type Connection, useActivity } from "./live.tsx";
import { Palette } from "./palette.tsx";
import { Dialog } from "./parts/dialog.tsx";
import { usePreferences } from "./preferences.tsx";
import { useReading } from "./reading.ts";
import { screens } from "./screens/index.ts";
import { useSession } from "./session.tsx";

/** What is around every screen: where one can go, and whether what is shown is live. */
export function Frame({ children }: { readonly children: ComponentChildren }) {
  const { t } = usePreferences();
  const { may } = useSession();
  const connection = useActivity();
  const [location] = useLocation();
  const [opened, setOpened] = useState(false);
  const [over, setOver] = useState<"palette" | "shortcuts" | null>(null);
  const main = useRef<HTMLElement>(null);
  const before = useRef(location);
  useShortcuts(setOver);
  useEffect(() => {
    // From here on it answers to whoever uses it; tests look.
    performance.mark("usable");
  }, []);
  useEffect(() => {
    if (before.current === location) return;
    before.current = location;
    setOpened(false);
    // A reader of the screen begins where the new one does.
    main.current?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [location]);

  return (
    <div class="frame">
      <a class="skip" href="#content">
        {t("skipToContent")}
      </a>
      <header class="bar">
        <button
          type="button"
          class="icon menu"
          aria-label={t("menu")}
          aria-expanded={opened}
          onClick={() => setOpened(!opened)}
        >
          ☰
        </button>
        <Link href="/" class="brand">
          Jobyard
        </Link>
        <TenantChoice />
        <button type="button" class="find" onClick={() => setOver("palette")}>
          <span>{t("findOrDo")}</span> <kbd>Ctrl K</kbd>
        </button>
        <Connected connection={connection} />
      </header>
      <nav aria-label={t("mainNavigation")} class={opened ? "opened" : ""}>
        {screens.map(({ path, title, access }) =>
          title === undefined || !may(access) ? null : (
            <Link
              key={path}
              href={path}
              {...(isIn(location, path) && { "aria-current": "page" as const })}
            >
              {t(title)}
            </Link>
          ),
        )}
        {!may("operate") && <p class="hint">{t("onlyLooking")}</p>}
      </nav>
      <main id="content" ref={main} tabIndex={-1}>
        {children}
      </main>
      {over === "palette" && <Palette onClose={() => setOver(null)} />}
      {over === "shortcuts" && <Shortcuts onClose={() => setOver(null)} />}
    </div>
  );
}

function isIn(location: string, path: string): boolean {
  return path === "/" ? location === "/" : location === path || location.startsWith(`${path}/`);
}

function Connected({ connection }: { readonly connection: Connection }) {
  const { t } = usePreferences();
  return (
    <span class={`connection ${connection}`} role="status">
      <span class="dot" aria-hidden="true" />
      <span class="word">{t(connection)}</span>
    </span>
  );
}

/** For a token of all tenants: the one to look at. */
function TenantChoice() {
  const { t } = usePreferences();
  const { who } = useSession();
  return who.tenant === "*" ? (
    <TenantSelect />
  ) : (
    <span class="tenant" title={t("tenant")}>
      {who.tenant}
    </span>
  );
}

function TenantSelect() {
  const { t } = usePreferences();
  const { tenant, choose, clientOf } = useSession();
  const queues = useReading(["tenants"], () => clientOf("*").queues.list(), { everyMs: 30_000 });
  const found = new Set((queues.data ?? []).map((queue) => queue.tenant));
  if (tenant !== undefined) found.add(tenant);
  return (
    <select
      class="tenant"
      aria-label={t("tenant")}
      value={tenant ?? "*"}
      onChange={({ currentTarget: { value } }) => choose(value === "*" ? undefined : value)}
    >
      <option value="*">{t("allTenants")}</option>
      {[...found].toSorted().map((one) => (
        <option key={one} value={one}>
          {one}
        </option>
      ))}
    </select>
  );
}

function Shortcuts({ onClose }: { readonly onClose: () => void }) {
  const { t } = usePreferences();
  const { may } = useSession();
  return (
    <Dialog title={t("shortcuts")} onClose={onClose}>
      <dl class="facts">
        <dt>
          <kbd>Ctrl</kbd> <kbd>K</kbd>
        </dt>
        <dd>{t("findOrDo")}</dd>
        <dt>
          <kbd>/</kbd>
        </dt>
        <dd>{t("toSearch")}</dd>
        <dt>
          <kbd>?</kbd>
        </dt>
        <dd>{t("shortcuts")}</dd>
        {screens.map(({ key, title, access }) =>
          key === undefined || title === undefined || !may(access) ? null : (
            <>
              <dt>
                <kbd>g</kbd> <kbd>{key}</kbd>
              </dt>
              <dd>{t(title)}</dd>
            </>
          ),
        )}
      </dl>
    </Dialog>
  );
}

const SEQUENCE_MS = 1500;

function useShortcuts(open: (over: "palette" | "shortcuts") => void): void {
  const [, navigate] = useLocation();
  const { may } = useSession();
  useEffect(() => {
    let wentAt = -Infinity;
    const pressed = (event: KeyboardEvent): void => {
      const { key, ctrlKey, metaKey, altKey } = event;
      if ((ctrlKey || metaKey) && key.toLowerCase() === "k") {
        event.preventDefault();
        open("palette");
        return;
      }
      if (ctrlKey || metaKey || altKey || isTyping(event.target)) return;
      if (event.timeStamp - wentAt < SEQUENCE_MS) {
        wentAt = -Infinity;
        const screen = screens.find((one) => one.key === key && may(one.access));
        if (screen !== undefined) navigate(screen.path);
      } else if (key === "g") {
        wentAt = event.timeStamp;
      } else if (key === "?") {
        open("shortcuts");
      } else if (key === "/") {
        const field = document.querySelector<HTMLElement>("main input[type=search]");
        if (field === null) return;
        event.preventDefault();
        field.focus();
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [navigate, may, open]);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.closest("input, select, textarea, dialog") !== null || target.isContentEditable)
  );
}
