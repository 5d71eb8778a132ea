/** A line without axes, for the eye; what it says is said beside it in words. */
export function Sparkline({
  values,
  tone = "plain",
}: {
  readonly values: readonly number[];
  readonly tone?: "plain" | "bad";
}) {
  const top = Math.max(1, ...values);
  const step = values.length > 1 ? 100 / (values.length - 1) : 0;
  const points = values.map(
    (value, n) => `${(n * step).toFixed(1)},${(22 - (value / top) * 20).toFixed(1)}`,
  );
  return (
    <svg
      class={`sparkline ${tone}`}
      viewBox="0 0 100 24"
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <polyline points={points.join(" ")} vector-effect="non-scaling-stroke" />
    </svg>
  );
}
