import type { Chart } from "./report.ts";

/** What a chart is drawn on: a page of a PDF, or an image. Points or pixels, from the upper left. */
export interface Surface {
  fill(x: number, y: number, width: number, height: number, color: string): void;
  line(points: readonly (readonly [number, number])[], width: number, color: string): void;
  dot(x: number, y: number, radius: number, color: string): void;
  text(text: string, x: number, y: number, style: TextStyle): void;
  width(text: string, size: number): number;
}

export interface TextStyle {
  readonly size: number;
  readonly color: string;
  readonly bold?: boolean;
  /** Which side of the text is at `x`; `y` is its middle. */
  readonly align: "left" | "center" | "right";
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Told apart by people who see no red or no green (Okabe and Ito). */
const colors = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];
const INK = "#1c2733";
const FAINT = "#5a6472";
const GRID = "#dfe3e8";
const MOST_BARS = 60;

/** Draws a chart into a box: title, legend, axes with round figures, bars or lines. */
export function drawChart(chart: Chart, { x, y, width, height }: Box, surface: Surface): void {
  const { title, kind, labels, series } = thinned(chart);
  const small = 8;
  surface.text(shortened(title, width, 11, surface), x, y + 8, {
    size: 11,
    color: INK,
    bold: true,
    align: "left",
  });
  let top = y + 24;
  if (series.length > 1) {
    let at = x;
    for (const [index, { name }] of series.entries()) {
      const color = colors[index % colors.length] ?? INK;
      surface.fill(at, top - 3, 8, 8, color);
      surface.text(name, at + 12, top + 1, { size: small, color: FAINT, align: "left" });
      at += 26 + surface.width(name, small);
    }
    top += 16;
  }
  const values = series.flatMap((one) => one.values.filter((value) => value !== null));
  const { ticks, low, high } = scale(Math.min(0, ...values), Math.max(0, ...values));
  const tickTexts = ticks.map(tickText);
  const left = x + Math.max(...tickTexts.map((text) => surface.width(text, small))) + 8;
  const bottom = y + height - 18;
  const plotWidth = x + width - left;
  const yOf = (value: number) => bottom - ((value - low) / (high - low)) * (bottom - top);
  for (const [index, tick] of ticks.entries()) {
    const at = yOf(tick);
    const color = tick === 0 ? FAINT : GRID;
    surface.line(
      [
        [left, at],
        [x + width, at],
      ],
      0.6,
      color,
    );
    const style = { size: small, color: FAINT, align: "right" } as const;
    surface.text(tickTexts[index] ?? "", left - 6, at, style);
  }
  const slot = plotWidth / Math.max(1, labels.length);
  drawLabels(labels, left, slot, bottom + 10, surface);
  for (const [index, { values: points }] of series.entries()) {
    const color = colors[index % colors.length] ?? INK;
    if (kind === "bar") {
      const barWidth = Math.min(40, (slot * 0.72) / series.length);
      const first = (slot - barWidth * series.length) / 2;
      for (const [i, value] of points.entries()) {
        if (value === null) continue;
        const [from, to] = [yOf(Math.max(0, value)), yOf(Math.min(0, value))];
        const at = left + i * slot + first + index * barWidth;
        surface.fill(at, from, Math.max(0.5, barWidth - 1), to - from, color);
      }
      continue;
    }
    let run: [number, number][] = [];
    const runs = [run];
    for (const [i, value] of points.entries()) {
      if (value === null) runs.push((run = []));
      else run.push([left + (i + 0.5) * slot, yOf(value)]);
    }
    for (const line of runs) {
      if (line.length > 1) surface.line(line, 1.6, color);
      if (points.length <= 40) for (const [px, py] of line) surface.dot(px, py, 2.2, color);
    }
  }
}

function drawLabels(
  labels: readonly string[],
  left: number,
  slot: number,
  y: number,
  surface: Surface,
): void {
  const size = 8;
  const widest = Math.max(0, ...labels.map((label) => surface.width(label.slice(0, 40), size)));
  const every = Math.max(1, Math.ceil(Math.min(widest + 18, 100) / slot));
  for (const [index, label] of labels.entries()) {
    if (index % every !== 0) continue;
    const text = shortened(label, slot * every - 4, size, surface);
    surface.text(text, left + (index + 0.5) * slot, y, { size, color: FAINT, align: "center" });
  }
}

function shortened(text: string, width: number, size: number, surface: Surface): string {
  const plain = text.slice(0, 200).replace(/\p{Cc}+/gu, " ");
  if (surface.width(plain, size) <= width) return plain;
  const letters = Array.from(plain);
  while (letters.length > 1 && surface.width(`${letters.join("")}…`, size) > width) letters.pop();
  return `${letters.join("")}…`;
}

/** More bars than fit are no chart: the first ones stay; of lines, every n-th point. */
function thinned(chart: Chart): Chart {
  if (chart.labels.length <= MOST_BARS) return chart;
  if (chart.kind === "bar") {
    const series = chart.series.map((one) => ({ ...one, values: one.values.slice(0, MOST_BARS) }));
    return { ...chart, labels: chart.labels.slice(0, MOST_BARS), series };
  }
  const every = Math.ceil(chart.labels.length / 400);
  const keep = <T>(all: readonly T[]) => all.filter((_, i) => i % every === 0);
  const series = chart.series.map((one) => ({ ...one, values: keep(one.values) }));
  return { ...chart, labels: keep(chart.labels), series };
}

/** Round figures from below the least to above the greatest value. */
export function scale(
  least: number,
  greatest: number,
): { ticks: readonly number[]; low: number; high: number } {
  const span = greatest - least;
  if (!(span > 1e-9) || !Number.isFinite(span)) return { ticks: [0, 1], low: 0, high: 1 };
  const rough = span / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const from = Math.floor(least / step);
  const to = Math.ceil(greatest / step);
  const ticks = Array.from({ length: to - from + 1 }, (_, i) => (from + i) * step);
  return { ticks, low: from * step, high: to * step };
}

const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });

function tickText(tick: number): string {
  return compact.format(Math.abs(tick) < 1e-12 ? 0 : tick);
}
