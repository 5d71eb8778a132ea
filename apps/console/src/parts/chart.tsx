import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useIsDark, usePreferences } from "../preferences.tsx";

export interface Series {
  readonly label: string;
  /** A colour of the style sheet: `--blue`. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  readonly title: string;
  /** Epoch s. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
}

const HEIGHT = 170;
const DAY_S = 86_400;

/** While nobody points at a moment, the legend says how it is now. */
function tellLast(plot: uPlot): void {
  if (plot.cursor.idx == null && plot.data[0].length > 0) {
    plot.setLegend({ idx: plot.data[0].length - 1 });
  }
}

export function Chart({ title, times, series, format }: ChartProps) {
  const { formats, t } = usePreferences();
  const dark = useIsDark();
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  // As the parent may make another one each time.
  const write = useRef(format);
  write.current = format;
  const shape = series.map(({ label, colour }) => `${label} ${colour}`).join(",");

  useEffect(() => {
    const element = place.current as HTMLDivElement;
    const style = getComputedStyle(document.documentElement);
    const colourOf = (name: string): string => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colourOf("--quiet"),
      grid: { stroke: colourOf("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        cursor: { y: false, points: { show: false } },
        legend: { live: true },
        hooks: { setCursor: [tellLast] },
        series: [
          { label: t("time"), value: (_, at) => (at == null ? "–" : formats.moment(at * 1000)) },
          ...series.map(({ label, colour }) => ({
            label,
            stroke: colourOf(colour),
            fill: `${colourOf(colour)}22`,
            width: 1.5,
            spanGaps: true,
            // A line needs two of them.
            points: {
              show: (plot: uPlot, n: number) =>
                (plot.data[n] ?? []).filter((value) => value != null).length === 1,
            },
            value: (_: uPlot, value: number | null) =>
              value === null ? "–" : write.current(value),
          })),
        ],
        scales: { y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] } },
        axes: [
          {
            ...axis,
            size: 28,
            space: 70,
            values: (_, ticks) => {
              const days = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0) > 2 * DAY_S;
              return ticks.map((at) => (days ? formats.day(at * 1000) : formats.clock(at * 1000)));
            },
          },
          {
            ...axis,
            size: 52,
            space: 34,
            values: (_, ticks) => ticks.map((value) => write.current(value)),
          },
        ],
      },
      [[], ...series.map(() => [])],
      element,
    );
    chart.current = made;
    const resized = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      chart.current = null;
    };
    // `shape` is what matters of `series` here.
  }, [shape, dark, formats]);

  useEffect(() => {
    const made = chart.current;
    if (made === null) return;
    made.setData([times as number[], ...series.map(({ values }) => values as (number | null)[])]);
    tellLast(made);
  });

  const last = series
    .map(({ label, values }) => {
      const value = values.at(-1);
      return `${label}: ${value == null ? "–" : format(value)}`;
    })
    .join(", ");
  return (
    <figure class="chart">
      <figcaption>{title}</figcaption>
      <div ref={place} role="img" aria-label={`${title}. ${last}`} />
    </figure>
  );
}
