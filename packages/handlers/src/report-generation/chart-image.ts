import { createCanvas, GlobalFonts, type SKRSContext2D } from "@napi-rs/canvas";
import { drawChart, type Surface, type TextStyle } from "./chart.ts";
import { fontFiles } from "./fonts.ts";
import type { Chart } from "./report.ts";

const FAMILY = "Jobyard Sans";
/** Pixels to a point, for sharp print and screens. */
const SCALE = 2;
const MARGIN = 12;

export const CHART_WIDTH = 640;
export const CHART_HEIGHT = 300;
export const CHART_DPI = 72 * SCALE;

/** A chart as a PNG of `CHART_WIDTH` by `CHART_HEIGHT` points at `CHART_DPI`. */
export function chartImage(chart: Chart): Buffer {
  if (!GlobalFonts.has(FAMILY)) {
    GlobalFonts.registerFromPath(fontFiles.regular, FAMILY);
    GlobalFonts.registerFromPath(fontFiles.bold, FAMILY);
  }
  const canvas = createCanvas(CHART_WIDTH * SCALE, CHART_HEIGHT * SCALE);
  const context = canvas.getContext("2d");
  context.scale(SCALE, SCALE);
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, CHART_WIDTH, CHART_HEIGHT);
  const box = {
    x: MARGIN,
    y: MARGIN,
    width: CHART_WIDTH - 2 * MARGIN,
    height: CHART_HEIGHT - 2 * MARGIN,
  };
  drawChart(chart, box, surfaceOf(context));
  return canvas.toBuffer("image/png");
}

function surfaceOf(context: SKRSContext2D): Surface {
  const setFont = (size: number, bold = false): void => {
    context.font = `${bold ? "bold " : ""}${size}px "${FAMILY}"`;
  };
  return {
    fill(x, y, width, height, color) {
      context.fillStyle = color;
      context.fillRect(x, y, width, height);
    },
    line(points, width, color) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.lineJoin = "round";
      context.beginPath();
      for (const [x, y] of points) context.lineTo(x, y);
      context.stroke();
    },
    dot(x, y, radius, color) {
      context.fillStyle = color;
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    },
    text(text: string, x: number, y: number, { size, color, bold, align }: TextStyle) {
      setFont(size, bold);
      context.fillStyle = color;
      context.textAlign = align;
      context.textBaseline = "middle";
      context.fillText(text, x, y);
    },
    width(text, size) {
      setFont(size);
      return context.measureText(text).width;
    },
  };
}
