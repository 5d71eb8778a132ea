import { Jobyard, type Schemas } from "@jobyard/sdk";
import { createContext } from "preact";
import { useContext } from "preact/hooks";

/** Who looks, and with what. */

export type WhoAmI = Schemas["WhoAmI"];
export type Access = "read" | "operate" | "administer" | "system";
export type Client = Jobyard<object>;

export interface Session {
  /** Of the tenant that is looked at, or of all. */
  readonly client: Client;
  readonly who: WhoAmI;
  /** The one tenant that is looked at; undefined: all that the token is for. */
  readonly tenant: string | undefined;
  /** Whether what is shown can be of several tenants. */
  readonly manyTenants: boolean;
  readonly may: (access: Access) => boolean;
  /** For what concerns something of this tenant; `*`: of any. */
  readonly clientOf: (tenant: string) => Client;
  readonly choose: (tenant: string | undefined) => void;
  /** `expired`: the token's word has ended by itself. */
  readonly signOut: (expired?: boolean) => void;
}

/** Gone with the tab. */
const KEY = "jobyard.token";

export function keptToken(): string | null {
  return sessionStorage.getItem(KEY);
}

export function keepToken(token: string | null): void {
  if (token === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, token);
}

export function clientFor(token: string | null, tenant?: string): Client {
  return new Jobyard<object>({
    baseURL: location.origin,
    retries: 1,
    ...(token === null ? {} : { token }),
    ...(tenant === undefined ? {} : { tenant }),
  });
}

interface SignedIn {
  readonly token: string | null;
  readonly who: WhoAmI;
  readonly tenant: string | undefined;
}

export function sessionOf(
  { token, who, tenant }: SignedIn,
  change: Pick<Session, "choose" | "signOut">,
): Session {
  const ofAll = who.tenant === "*";
  return {
    client: clientFor(token, ofAll ? tenant : undefined),
    who,
    tenant,
    manyTenants: ofAll && tenant === undefined,
    may: (access) => who.may.includes(access),
    clientOf: (one) => clientFor(token, ofAll && one !== "*" ? one : undefined),
    ...change,
  };
}

export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error("Nobody is signed in");
  return session;
}
