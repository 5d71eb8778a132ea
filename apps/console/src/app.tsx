import { JobyardError } from "@jobyard/sdk";
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/preact-query";
import { useCallback, useMemo, useState } from "preact/hooks";
import { Route, Router, Switch } from "wouter-preact";
import { Frame } from "./frame.tsx";
import { NoticesProvider } from "./parts/notices.tsx";
import { PreferencesProvider, usePreferences } from "./preferences.tsx";
import { useReasons } from "./reasons.ts";
import { screens } from "./screens/index.ts";
import { SignIn } from "./screens/sign-in.tsx";
import { clientFor, keepToken, keptToken, SessionContext, sessionOf } from "./session.tsx";

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // The SDK tries again by itself, and activity says when to read again.
      retry: false,
      refetchOnWindowFocus: false,
      staleTime: 1000,
      gcTime: 60_000,
    },
  },
});

export function App() {
  return (
    <PreferencesProvider>
      <QueryClientProvider client={queries}>
        <NoticesProvider>
          <Entrance />
        </NoticesProvider>
      </QueryClientProvider>
    </PreferencesProvider>
  );
}

/** Lets in whom the server knows. */
function Entrance() {
  const { t } = usePreferences();
  const reasonOf = useReasons();
  const [token, setToken] = useState(keptToken);
  const [expired, setExpired] = useState(false);
  const [tenant, choose] = useState<string | undefined>(undefined);
  const {
    data: who,
    error,
    refetch,
  } = useQuery({
    queryKey: ["whoami", token],
    queryFn: ({ signal }) => clientFor(token).whoami({ signal }),
    staleTime: Infinity,
    gcTime: Infinity,
  });
  const enter = useCallback((token: string | null) => {
    keepToken(token);
    setExpired(false);
    setToken(token);
  }, []);
  const signOut = useCallback((expired = false) => {
    keepToken(null);
    setToken(null);
    setExpired(expired);
    choose(undefined);
    queries.clear();
  }, []);
  const session = useMemo(
    () => (who === undefined ? null : sessionOf({ token, who, tenant }, { choose, signOut })),
    [token, who, tenant, signOut],
  );
  if (session === null) {
    if (error == null) return <p class="empty">{t("loading")}</p>;
    const refused = error instanceof JobyardError && error.status === 401;
    const reason = reasonOf(error);
    if (!refused) {
      return (
        <main class="entrance">
          <p role="alert">{t("serverAway", { reason })}</p>
          <button type="button" onClick={() => void refetch()}>
            {t("tryAgain")}
          </button>
        </main>
      );
    }
    const said = token !== null ? t("tokenRefused", { reason }) : expired ? t("tokenEnded") : null;
    return <SignIn said={said} onEnter={enter} />;
  }
  return (
    <SessionContext.Provider value={session}>
      <Router base="/console">
        <Frame>
          <Switch>
            {screens.map(({ path, component }) => (
              <Route key={path} path={path} component={component} />
            ))}
            <Route>
              <p class="empty">{t("nothingHere")}</p>
            </Route>
          </Switch>
        </Frame>
      </Router>
    </SessionContext.Provider>
  );
}
