const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Calls back at that moment, epoch ms, however far off; the answer calls it off. */
export function atExpiry(expiresAt: number, then: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    const left = expiresAt - Date.now();
    if (left > 0) timer = setTimeout(arm, Math.min(left, LONGEST_TIMER_MS));
    else then();
  };
  if (expiresAt !== Infinity) arm();
  return () => clearTimeout(timer);
}
