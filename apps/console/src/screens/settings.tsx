import { JsonTree } from "../parts/json-tree.tsx";
import { Loaded } from "../parts/loaded.tsx";
import { type Theme, themes, usePreferences } from "../preferences.tsx";
import { useReading } from "../reading.ts";
import { useSession } from "../session.tsx";
import { type Language, languages } from "../words.ts";

const languageNames: Readonly<Record<Language, string>> = { en: "English", es: "Español" };

export function Settings() {
  const { t, language, theme, setLanguage, setTheme, formats } = usePreferences();
  const { who, may, signOut } = useSession();
  return (
    <>
      <h1>{t("settings")}</h1>
      <div class="columns">
        <section class="card">
          <h2>{t("yourView")}</h2>
          <label class="field">
            {t("language")}
            <select
              value={language}
              onChange={(event) => setLanguage(event.currentTarget.value as Language)}
            >
              {languages.map((one) => (
                <option key={one} value={one}>
                  {languageNames[one]}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            {t("theme")}
            <select
              value={theme}
              onChange={(event) => setTheme(event.currentTarget.value as Theme)}
            >
              {themes.map((one) => (
                <option key={one} value={one}>
                  {t(one)}
                </option>
              ))}
            </select>
          </label>
        </section>
        <section class="card">
          <h2>{t("yourToken")}</h2>
          <dl class="facts">
            <dt>{t("subject")}</dt>
            <dd>
              <bdi>{who.subject ?? t("none")}</bdi>
            </dd>
            <dt>{t("tenant")}</dt>
            <dd>{who.tenant === "*" ? t("allTenants") : who.tenant}</dd>
            <dt>{t("roles")}</dt>
            <dd>{who.roles.join(", ")}</dd>
            <dt>{t("validUntil")}</dt>
            <dd>{who.expiresAt === null ? t("noEnd") : formats.moment(who.expiresAt)}</dd>
          </dl>
          {!who.open && (
            <button type="button" onClick={() => signOut()}>
              {t("signOut")}
            </button>
          )}
        </section>
      </div>
      {may("system") && <ServerSettings />}
    </>
  );
}

function ServerSettings() {
  const { t } = usePreferences();
  const settings = useReading(["settings"], (client, signal) => client.settings({ signal }), {
    everyMs: Infinity,
  });
  return (
    <section class="card">
      <h2>{t("serverSettings")}</h2>
      <p class="hint">{t("serverSettingsHint")}</p>
      <Loaded from={settings}>
        {(value) => <JsonTree value={value} label={t("serverSettings")} />}
      </Loaded>
    </section>
  );
}
