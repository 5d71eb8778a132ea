import type { Geometry, Measured } from "./geometry.ts";
import { nextHalfEdge } from "./topology.ts";
import type { Triangles } from "./triangles.ts";

/** Degrees; surfaces that meet at a larger angle meet in an edge. */
const SHARP = 30;

export interface Features {
  /** Smooth patches of the surface, bounded by sharp edges: a cube has six. */
  readonly faces: number;
  /** mm */
  readonly sharpEdgeLength: number;
  readonly throughHoles: number;
  readonly cavities: number;
}

export function featuresOf(measured: Measured, triangles: Triangles): Features {
  const { throughHoles, cavities } = measured.geometry;
  const { twin, count } = triangles;
  const smooth = new Uint8Array(3 * count);
  const limit = Math.cos((SHARP * Math.PI) / 180);
  let sharpEdgeLength = 0;
  for (let h = 0; h < 3 * count; h++) {
    const g = twin[h] as number;
    if (g !== -1 && g < h) continue;
    const t = Math.floor(h / 3);
    if (g !== -1 && triangles.cosine(t, Math.floor(g / 3)) >= limit) {
      smooth[h] = 1;
      smooth[g] = 1;
      continue;
    }
    const a = triangles.corner(t, h % 3);
    const b = triangles.corner(t, nextHalfEdge(h) % 3);
    sharpEdgeLength += Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
  }
  const seen = new Uint8Array(count);
  const stack = new Uint32Array(count);
  let faces = 0;
  for (let seed = 0; seed < count; seed++) {
    if (seen[seed] === 1) continue;
    faces++;
    seen[seed] = 1;
    let depth = 0;
    stack[depth++] = seed;
    while (depth > 0) {
      const t = stack[--depth] as number;
      for (let h = 3 * t; h < 3 * t + 3; h++) {
        if (smooth[h] === 0) continue;
        const u = Math.floor((twin[h] as number) / 3);
        if (seen[u] === 1) continue;
        seen[u] = 1;
        stack[depth++] = u;
      }
    }
  }
  return { faces, sharpEdgeLength, throughHoles, cavities };
}

export interface Complexity {
  /** 0 to 100. */
  readonly score: number;
  readonly level: "simple" | "moderate" | "complex" | "very complex";
}

/**
 * How hard the shape is to make: a quarter each for how far its surface exceeds that of the box around it or a cube of its
 * volume, for its faces, for its holes and cavities, and for its triangles; see docs/job-types/file-analysis.md.
 */
export function complexityOf(
  { surfaceArea, volume, triangles }: Geometry,
  features: Features,
): Complexity {
  const share = (value: number, most: number): number => Math.min(1, Math.max(0, value / most));
  // A cube's is 1.
  const surface = volume === null ? 1 : surfaceArea / (6 * Math.cbrt(volume) ** 2);
  const score = Math.round(
    25 *
      (share(Math.log2(surface), 3) +
        share(Math.log10(features.faces), 3) +
        share(Math.log10(1 + features.throughHoles + features.cavities), 2) +
        share(Math.log10(triangles), 6)),
  );
  const level =
    score < 25 ? "simple" : score < 50 ? "moderate" : score < 75 ? "complex" : "very complex";
  return { score, level };
}
