import {
  keepPreviousData,
  useQuery,
  useQueryClient,
  type UseQueryResult,
} from "@tanstack/preact-query";
import { useCallback } from "preact/hooks";
import { type Client, useSession } from "./session.tsx";

interface ReadingOptions {
  /** While things happen it is read again at most so often, ms. */
  readonly everyMs: number;
  /** Read again also while nothing happens: what time alone changes. */
  readonly alsoIdleMs?: number;
  /** Shows what was there before while something else is read. */
  readonly keep?: boolean;
  readonly enabled?: boolean;
}

/** What the server says, live. `key` names it, together with who looks. */
export function useReading<Data>(
  key: readonly unknown[],
  read: (client: Client, signal: AbortSignal) => Promise<Data>,
  { everyMs, alsoIdleMs, keep = false, enabled = true }: ReadingOptions,
): UseQueryResult<Data> {
  const { client, tenant } = useSession();
  return useQuery({
    queryKey: [tenant ?? "*", ...key],
    queryFn: ({ signal }) => read(client, signal),
    meta: { everyMs },
    enabled,
    ...(alsoIdleMs !== undefined && { refetchInterval: alsoIdleMs }),
    ...(keep && { placeholderData: keepPreviousData }),
  });
}

/** After a change: reads again what is shown. */
export function useRefresh(): () => void {
  const queries = useQueryClient();
  return useCallback(() => void queries.invalidateQueries({ type: "active" }), [queries]);
}
