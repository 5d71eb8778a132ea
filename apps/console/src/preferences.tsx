import { type ComponentChildren, createContext } from "preact";
import { useContext, useLayoutEffect, useMemo, useState } from "preact/hooks";
import { Formats } from "./formats.ts";
import { type Language, languages, type Translate, translator } from "./words.ts";

/** What each viewer sets for itself; kept in this browser. */

export const themes = ["system", "light", "dark"] as const;

export type Theme = (typeof themes)[number];

interface Preferences {
  readonly language: Language;
  readonly theme: Theme;
  readonly t: Translate;
  readonly formats: Formats;
  readonly setLanguage: (language: Language) => void;
  readonly setTheme: (theme: Theme) => void;
}

const Context = createContext<Preferences | null>(null);

export function usePreferences(): Preferences {
  const preferences = useContext(Context);
  if (preferences === null) throw new Error("Outside of PreferencesProvider");
  return preferences;
}

export function PreferencesProvider({ children }: { readonly children: ComponentChildren }) {
  const [language, setLanguage] = useStored<Language>("language", languages, languageOfBrowser());
  const [theme, setTheme] = useStored<Theme>("theme", themes, "system");
  useLayoutEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dataset["theme"] = theme;
  }, [language, theme]);
  const value = useMemo(
    () => ({
      language,
      theme,
      setLanguage,
      setTheme,
      t: translator(language),
      formats: new Formats(localeOf(language)),
    }),
    [language, theme, setLanguage, setTheme],
  );
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

/** Whether the page is dark now. */
export function useIsDark(): boolean {
  const { theme } = usePreferences();
  const [system, setSystem] = useState(darkQuery.matches);
  useLayoutEffect(() => {
    const changed = (): void => setSystem(darkQuery.matches);
    darkQuery.addEventListener("change", changed);
    return () => darkQuery.removeEventListener("change", changed);
  }, []);
  return theme === "system" ? system : theme === "dark";
}

const darkQuery = matchMedia("(prefers-color-scheme: dark)");

function languageOfBrowser(): Language {
  return navigator.language.startsWith("es") ? "es" : "en";
}

/** Dates differ between countries of one language. */
function localeOf(language: Language): string {
  return navigator.languages.find((one) => one.startsWith(language)) ?? language;
}

function useStored<Value extends string>(
  key: string,
  allowed: readonly Value[],
  standard: Value,
): readonly [Value, (value: Value) => void] {
  const [value, setValue] = useState<Value>(() => {
    const kept = localStorage.getItem(`jobyard.${key}`);
    return allowed.find((one) => one === kept) ?? standard;
  });
  return useMemo(
    () => [
      value,
      (next) => {
        localStorage.setItem(`jobyard.${key}`, next);
        setValue(next);
      },
    ],
    [key, value],
  );
}
