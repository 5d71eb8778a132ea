import type { Bvh } from "./bvh.ts";
import { type Box, diagonalOf, type Geometry, type Measured, middleOf } from "./geometry.ts";
import { nextHalfEdge } from "./topology.ts";
import { type Place, type Region, regionsOf, type Triangles } from "./triangles.ts";

/** Sizes in mm, angles in degrees. */
const thresholds = {
  /** A wall below it is told. */
  thinWall: 0.8,
  /** A wall below it cannot be made by common processes. */
  brokenWall: 0.4,
  /** A downward surface that leans more than this from the vertical needs support. */
  overhang: 45,
  /** Gaps, slots and separate parts below it are told. */
  smallFeature: 0.5,
} as const;

/** Regions and features told of each kind, the largest first. */
const MOST_REGIONS = 50;
/** Opposite walls lean less than this from each other. */
const FACING = Math.cos(Math.PI / 4);
/** Of a finer mesh only every second, third ... triangle is looked at. */
const MOST_TRIANGLES = 1_000_000;
/** Extra points on large triangles, all together. */
const EXTRA_SAMPLES = 50_000;
/** A surface this near to the lowest point rests on the plate, mm. */
const ON_PLATE = 0.05;
/** Nearer than this share of the part's diagonal, 32-bit rays tell nothing. */
const RESOLUTION = 1e-6;
/** Points between two reports. */
const REPORT_EVERY = 4096;

export interface ThinWall extends Region {
  /** Least, mm. */
  readonly thickness: number;
}

export interface Overhang extends Region {
  /** Greatest, degrees from the vertical; 90 faces straight down. */
  readonly angle: number;
}

export interface SmallFeature extends Place {
  readonly kind: "gap" | "part";
  /** Width of a gap, longest side of a part, mm. */
  readonly size: number;
}

export interface Issue {
  readonly code: string;
  /** `error`: cannot be made as it is; `warning`: may fail or cost more; `info`: mended or harmless. */
  readonly severity: "error" | "warning" | "info";
  readonly message: string;
  readonly place: Place;
}

export interface Dfm {
  /** mm; null where no two walls face each other. */
  readonly minWallThickness: number | null;
  readonly thinWalls: readonly ThinWall[];
  readonly overhangs: readonly Overhang[];
  /** mm² of all overhangs. */
  readonly overhangArea: number;
  /** Under the overhangs, down to the part or the plate, mm³. */
  readonly supportVolume: number;
  readonly smallFeatures: readonly SmallFeature[];
  readonly issues: readonly Issue[];
  readonly thresholds: typeof thresholds;
}

/**
 * Looks for what makes a part hard to manufacture, in the orientation it is modelled in (z up). Rays go from the
 * middle of every triangle, and from more points on large ones, into the part to the opposite wall, and out of it
 * over narrow gaps.
 *
 * @param report - told the share done, 0 to 1
 */
export function examine(
  measured: Measured,
  triangles: Triangles,
  bvh: Bvh,
  options: { readonly smallFeatures: boolean },
  report: (done: number) => void,
): Dfm {
  const { geometry } = measured;
  const walls = castWalls(measured, triangles, bvh, options.smallFeatures, report);
  const down = castDown(triangles, bvh, geometry);
  const thinWalls = regionsOf(
    triangles,
    (t) => (walls.thickness[t] as number) < thresholds.thinWall,
  ).map((region) => ({
    ...triangles.region(region),
    thickness: leastOf(region, walls.thickness),
  }));
  const overhangs = regionsOf(triangles, (t) => down.isOverhang[t] === 1).map((region) => ({
    ...triangles.region(region),
    angle: 90 - (Math.acos(-leastOf(region, triangles.upward)) * 180) / Math.PI,
  }));
  const gaps = regionsOf(triangles, (t) => (walls.gap[t] as number) < thresholds.smallFeature).map(
    (region) => ({
      kind: "gap" as const,
      size: leastOf(region, walls.gap),
      ...triangles.place(region),
    }),
  );
  const parts = options.smallFeatures ? smallParts(triangles, measured) : [];
  const found = { thinWalls, overhangs, gaps, parts };
  return {
    minWallThickness: Number.isFinite(walls.least) ? walls.least : null,
    thinWalls: thinWalls.slice(0, MOST_REGIONS),
    overhangs: overhangs.slice(0, MOST_REGIONS),
    overhangArea: down.area,
    supportVolume: down.supportVolume,
    smallFeatures: [...gaps.slice(0, MOST_REGIONS), ...parts.slice(0, MOST_REGIONS)],
    issues: [...meshIssues(triangles, measured), ...shapeIssues(found)],
    thresholds,
  };
}

function leastOf(triangles: readonly number[], of: Float32Array): number {
  return triangles.reduce((least, t) => Math.min(least, of[t] as number), Infinity);
}

interface Walls {
  /** Least over the part, mm; Infinity where no walls face each other. */
  readonly least: number;
  /** Of each triangle where it is below the threshold, else Infinity. */
  readonly thickness: Float32Array;
  /** The same for the gap before it. */
  readonly gap: Float32Array;
}

function castWalls(
  { geometry: { boundingBox }, topology: { shellOf }, outerShell }: Measured,
  triangles: Triangles,
  bvh: Bvh,
  gaps: boolean,
  report: (done: number) => void,
): Walls {
  const { count } = triangles;
  const thickness = new Float32Array(count).fill(Infinity);
  const gap = new Float32Array(count).fill(Infinity);
  const total = triangles.area.reduce((sum, area) => sum + area, 0);
  const cell = total / EXTRA_SAMPLES;
  const resolution = RESOLUTION * diagonalOf(boundingBox);
  const stride = strideOf(count);
  let least = Infinity;
  let samples = 0;
  const solidOf = (t: number): number => outerShell[shellOf[t] as number] as number;
  let solid = 0;
  // A wall is between two sides of one solid: another that touches or overlaps it has no part in it.
  const isOwn = outerShell.length === 1 ? undefined : (t: number): boolean => solidOf(t) === solid;
  for (let t = 0; t < count; t += stride) {
    const [nx, ny, nz] = triangles.normal(t);
    if (nx === 0 && ny === 0 && nz === 0) continue;
    solid = solidOf(t);
    const a = triangles.corner(t, 0);
    const b = triangles.corner(t, 1);
    const c = triangles.corner(t, 2);
    const points = 1 + Math.floor((triangles.area[t] as number) / cell);
    for (let i = 0; i < points; i++) {
      if (++samples % REPORT_EVERY === 0) report(t / count);
      // The middle, then points spread evenly (the R2 sequence, folded into the triangle).
      let u = i === 0 ? 1 / 3 : (0.5 + 0.7548776662466927 * i) % 1;
      let v = i === 0 ? 1 / 3 : (0.5 + 0.5698402909980532 * i) % 1;
      if (u + v > 1) {
        u = 1 - u;
        v = 1 - v;
      }
      const x = a[0] + u * (b[0] - a[0]) + v * (c[0] - a[0]);
      const y = a[1] + u * (b[1] - a[1]) + v * (c[1] - a[1]);
      const z = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2]);
      const most = Math.max(least, thresholds.thinWall);
      if (bvh.cast(x, y, z, -nx, -ny, -nz, resolution, most, t, isOwn)) {
        const facing = -triangles.cosine(t, bvh.hitTriangle);
        if (facing >= FACING) {
          least = Math.min(least, bvh.hitDistance);
          if (bvh.hitDistance < thresholds.thinWall) {
            thickness[t] = Math.min(thickness[t] as number, bvh.hitDistance);
          }
        }
      }
      if (!gaps || !bvh.cast(x, y, z, nx, ny, nz, resolution, thresholds.smallFeature, t)) continue;
      const facing = -triangles.cosine(t, bvh.hitTriangle);
      if (facing >= FACING) {
        gap[t] = Math.min(gap[t] as number, bvh.hitDistance);
      }
    }
  }
  return { least, thickness, gap };
}

function strideOf(triangles: number): number {
  return Math.ceil(triangles / MOST_TRIANGLES);
}

/** Surfaces that face down too flatly, and what it takes to hold them up. */
function castDown(triangles: Triangles, bvh: Bvh, { boundingBox }: Geometry) {
  const isOverhang = new Uint8Array(triangles.count);
  const plate = boundingBox.min[2];
  const resolution = RESOLUTION * diagonalOf(boundingBox);
  // A surface that leans exactly by the threshold holds.
  const limit = -Math.sin((thresholds.overhang * Math.PI) / 180) - 1e-6;
  const stride = strideOf(triangles.count);
  let area = 0;
  // Seen from above: of all overhangs, and of those that rays went from.
  let covered = 0;
  let probed = 0;
  let volume = 0;
  for (let t = 0; t < triangles.count; t++) {
    const upward = triangles.upward[t] as number;
    if (upward >= limit) continue;
    const [a, b, c] = [triangles.corner(t, 0), triangles.corner(t, 1), triangles.corner(t, 2)];
    if (Math.max(a[2], b[2], c[2]) <= plate + ON_PLATE) continue;
    isOverhang[t] = 1;
    area += triangles.area[t] as number;
    const shadow = (triangles.area[t] as number) * -upward;
    covered += shadow;
    if (t % stride !== 0) continue;
    probed += shadow;
    const x = (a[0] + b[0] + c[0]) / 3;
    const y = (a[1] + b[1] + c[1]) / 3;
    const z = (a[2] + b[2] + c[2]) / 3;
    const height = bvh.cast(x, y, z, 0, 0, -1, resolution, Infinity, t)
      ? bvh.hitDistance
      : z - plate;
    volume += shadow * height;
  }
  return { isOverhang, area, supportVolume: probed === 0 ? 0 : volume * (covered / probed) };
}

/** Shells too small to make, one of several. */
function smallParts(triangles: Triangles, { topology }: Measured): SmallFeature[] {
  const { order, shellStart } = topology;
  const parts: SmallFeature[] = [];
  const count = shellStart.length - 1;
  if (count === 1) return parts;
  for (let shell = 0; shell < count; shell++) {
    const own = order.subarray(shellStart[shell], shellStart[shell + 1]);
    const { min, max } = triangles.boundsOf(own);
    const size = Math.max(max[0] - min[0], max[1] - min[1], max[2] - min[2]);
    if (size < thresholds.smallFeature) parts.push({ kind: "part", size, ...triangles.place(own) });
  }
  return parts.sort((one, other) => one.size - other.size);
}

function meshIssues(triangles: Triangles, { geometry, topology }: Measured): Issue[] {
  const { defects, boundingBox } = geometry;
  const whole: Place = { center: middleOf(boundingBox), boundingBox };
  const edge = (h: number): Place => {
    const t = Math.floor(h / 3);
    const a = triangles.corner(t, h % 3);
    const b = triangles.corner(t, nextHalfEdge(h) % 3);
    const box: Box = {
      min: [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.min(a[2], b[2])],
      max: [Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.max(a[2], b[2])],
    };
    return { center: middleOf(box), boundingBox: box };
  };
  const issues: (Issue & { readonly count: number })[] = [
    {
      code: "OPEN_EDGES",
      severity: "error",
      count: defects.openEdges,
      message: `The surface has holes: ${defects.openEdges} open edges, the first of them here`,
      place: defects.openEdges > 0 ? edge(topology.openEdges.first) : whole,
    },
    {
      code: "NON_MANIFOLD_EDGES",
      severity: "error",
      count: defects.nonManifoldEdges,
      message: `${defects.nonManifoldEdges} edges have more than two triangles, the first of them here`,
      place: defects.nonManifoldEdges > 0 ? edge(topology.nonManifoldEdges.first) : whole,
    },
    {
      code: "NON_MANIFOLD_VERTICES",
      severity: "warning",
      count: defects.nonManifoldVertices,
      message: `Parts of the surface touch at ${defects.nonManifoldVertices} points only`,
      place: whole,
    },
    {
      code: "ONE_SIDED_SURFACE",
      severity: "error",
      count: topology.oneSided ? 1 : 0,
      message: "The surface has no inside and outside: it is one-sided",
      place: whole,
    },
    {
      code: "FLIPPED_TRIANGLES",
      severity: "warning",
      count: defects.flippedTriangles,
      message: `${defects.flippedTriangles} triangles were turned inside out`,
      place: whole,
    },
    {
      code: "INVERTED_SHELLS",
      severity: "warning",
      count: defects.invertedShells,
      message: `${defects.invertedShells} shells were turned inside out`,
      place: whole,
    },
    {
      code: "NESTED_SHELLS",
      severity: "warning",
      count: defects.nestedShells,
      message: `${defects.nestedShells} shells lie in solid material and add nothing; if they are cavities, turn them over`,
      place: whole,
    },
    {
      code: "DUPLICATE_TRIANGLES",
      severity: "warning",
      count: defects.duplicateTriangles,
      message: `${defects.duplicateTriangles} triangles are there twice; the copies were left out`,
      place: whole,
    },
    {
      code: "DEGENERATE_TRIANGLES",
      severity: "info",
      count: defects.degenerateTriangles,
      message: `${defects.degenerateTriangles} triangles have two corners at one place; they were left out`,
      place: whole,
    },
  ];
  return issues
    .filter(({ count }) => count > 0)
    .map(({ code, severity, message, place }) => ({ code, severity, message, place }));
}

interface Found {
  readonly thinWalls: readonly ThinWall[];
  readonly overhangs: readonly Overhang[];
  readonly gaps: readonly SmallFeature[];
  readonly parts: readonly SmallFeature[];
}

/** At most `MOST_REGIONS` of each kind. */
function shapeIssues({ thinWalls, overhangs, gaps, parts }: Found): Issue[] {
  const told = <Item extends Place>(
    items: readonly Item[],
    tell: (item: Item) => Omit<Issue, "place">,
  ) =>
    items.slice(0, MOST_REGIONS).map((item) => ({
      ...tell(item),
      place: { center: item.center, boundingBox: item.boundingBox },
    }));
  const mm = (value: number): string => `${Number(value.toPrecision(3))} mm`;
  return [
    ...told(thinWalls, ({ thickness }) => ({
      code: "THIN_WALL",
      severity: thickness < thresholds.brokenWall ? "error" : "warning",
      message: `A wall is ${mm(thickness)} thick, less than ${mm(thickness < thresholds.brokenWall ? thresholds.brokenWall : thresholds.thinWall)}`,
    })),
    ...told(overhangs, ({ angle, area }) => ({
      code: "OVERHANG",
      severity: "warning",
      message: `A surface of ${Number(area.toPrecision(3))} mm² leans up to ${Math.round(angle)}° from the vertical and needs support`,
    })),
    ...told(gaps, ({ size }) => ({
      code: "NARROW_GAP",
      severity: "warning",
      message: `A gap is ${mm(size)} wide, less than ${mm(thresholds.smallFeature)}`,
    })),
    ...told(parts, ({ size }) => ({
      code: "SMALL_PART",
      severity: "warning",
      message: `A separate part is ${mm(size)} long, less than ${mm(thresholds.smallFeature)}`,
    })),
  ];
}
