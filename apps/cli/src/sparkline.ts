const LEVELS = "▁▂▃▄▅▆▇█";

/** Numbers as a line of bars; the highest fills its line. */
export function sparkline(values: readonly number[]): string {
  const highest = Math.max(...values, 0);
  const level = (value: number): string =>
    LEVELS[highest === 0 ? 0 : Math.ceil((value / highest) * (LEVELS.length - 1))] as string;
  return values.map(level).join("");
}
