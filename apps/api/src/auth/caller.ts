import { RequestError } from "../request-error.ts";

export const roles = ["ADMIN", "OPERATOR", "MANAGER"] as const;

export type Role = (typeof roles)[number];

/** On whose behalf a request is made. */
export interface Caller {
  /** `*`: every tenant. */
  readonly tenant: string;
  readonly roles: readonly Role[];
  /** Whether an ADMIN of this kind may do what concerns every tenant. */
  readonly system: boolean;
  /** Who it is, for the log; null when the token does not say. */
  readonly subject: string | null;
  /** Tells its token from others, without being one; absent: it came without a token. */
  readonly credential?: string;
  /** When the token's word ends, for connections that outlive it: epoch ms, or Infinity. */
  readonly expiresAt: number;
}

/** The role matrix. Every operation of every dialect and protocol names one of these kinds of access. */
export const accessRoles = {
  /** Sees jobs, queues and figures. */
  read: ["ADMIN", "OPERATOR", "MANAGER"],
  /** Adds, claims, ends, cancels, retries, removes jobs; pauses queues. */
  operate: ["ADMIN", "OPERATOR"],
  /** Writes schedules, webhooks, limits. */
  administer: ["ADMIN"],
  /** Settings, shutdown, restart, nodes: they concern every tenant. */
  system: ["ADMIN"],
} as const satisfies Readonly<Record<string, readonly Role[]>>;

export type Access = keyof typeof accessRoles;

export function mayAccess(caller: Caller, access: Access): boolean {
  const allowed: readonly Role[] = accessRoles[access];
  return (
    caller.roles.some((role) => allowed.includes(role)) && (access !== "system" || caller.system)
  );
}

/** @throws RequestError FORBIDDEN */
export function requireAccess(caller: Caller, access: Access): void {
  const allowed: readonly Role[] = accessRoles[access];
  if (!caller.roles.some((role) => allowed.includes(role))) {
    throw new RequestError("FORBIDDEN", `Only ${allowed.join(", ")} may do this`);
  }
  if (access === "system" && !caller.system) {
    const message =
      "This concerns every tenant: it takes an ADMIN token of tenant *, or an API token";
    throw new RequestError("FORBIDDEN", message);
  }
}
