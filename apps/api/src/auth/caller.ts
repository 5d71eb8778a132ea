import { RequestError } from "../request-error.ts";

export const roles = ["ADMIN", "OPERATOR", "MANAGER"] as const;

export type Role = (typeof roles)[number];

/** On whose behalf a request is made. */
export interface Caller {
  /** `*`: every tenant. */
  readonly tenant: string;
  readonly roles: readonly Role[];
  /** Who it is, for the log; null when the token does not say. */
  readonly subject: string | null;
}

/** Who may see jobs and figures. */
export const readers: readonly Role[] = [...roles];
/** Who may add, cancel and otherwise change jobs. */
export const operators: readonly Role[] = ["ADMIN", "OPERATOR"];

/** @throws RequestError FORBIDDEN */
export function requireRole(caller: Caller, allowed: readonly Role[]): void {
  if (caller.roles.some((role) => allowed.includes(role))) return;
  throw new RequestError("FORBIDDEN", `Only ${allowed.join(", ")} may do this`);
}
