import type { Mesh } from "./mesh.ts";

/** Triangles of a leaf at most. */
const LEAF = 4;
const BINS = 12;
/** Deeper than any tree gets: below it, halves are cut by count. */
const MAX_DEPTH = 48;
/** In place of 0, whose inverse times 0 is no number. */
const TINY = 1e-30;
/** Triangles reach so much over their edges, as a share of their size: a ray along an edge hits one of the two. */
const EDGE = 1e-7;

/**
 * A tree of boxes over the triangles of a mesh, for casting rays: binned surface-area heuristic, flat arrays, 32-bit
 * coordinates about the middle of the mesh. Each triangle takes some 80 bytes.
 */
export class Bvh {
  /** Of the hit of the last ray that had one. */
  hitTriangle = -1;
  hitDistance = Infinity;
  readonly #center: readonly [number, number, number];
  /** Six for each node: least x, y, z, greatest x, y, z. */
  readonly #boxes: Float32Array;
  /** Two for each node: first triangle and count of a leaf, or right child and 2^31 + axis; the left one follows. */
  readonly #nodes: Uint32Array;
  /** Triangles as the leaves have them. */
  readonly #order: Uint32Array;
  /** Nine for each in that order: a corner and the edges from it to the two others. */
  readonly #corners: Float32Array;
  readonly #stack = new Uint32Array(2 * MAX_DEPTH + 64);

  constructor(mesh: Mesh, center: readonly [number, number, number]) {
    this.#center = center;
    const build = new Build(mesh, center);
    build.run();
    this.#boxes = build.boxes.slice(0, 6 * build.nodeCount);
    this.#nodes = build.nodes.slice(0, 2 * build.nodeCount);
    this.#order = build.order;
    this.#corners = cornersOf(mesh, center, build.order);
  }

  /**
   * The nearest triangle that the ray (unit direction) meets between the two distances, out of those that are
   * accepted, which `skip` never is; leaves it in `hitTriangle` and `hitDistance`.
   */
  cast(
    x: number,
    y: number,
    z: number,
    dx: number,
    dy: number,
    dz: number,
    least: number,
    most: number,
    skip: number,
    accept?: (triangle: number) => boolean,
  ): boolean {
    this.hitTriangle = -1;
    this.hitDistance = most;
    this.#walk(x, y, z, dx, dy, dz, least, skip, accept, undefined);
    return this.hitTriangle !== -1;
  }

  /** Tells of every triangle that the ray meets, in no order. */
  castThrough(
    origin: readonly [number, number, number],
    direction: readonly [number, number, number],
    onHit: (triangle: number) => void,
  ): void {
    this.hitDistance = Infinity;
    this.#walk(...origin, ...direction, 0, -1, undefined, onHit);
  }

  #walk(
    x: number,
    y: number,
    z: number,
    dx: number,
    dy: number,
    dz: number,
    least: number,
    skip: number,
    accept: ((triangle: number) => boolean) | undefined,
    onHit: ((triangle: number) => void) | undefined,
  ): void {
    const boxes = this.#boxes;
    const nodes = this.#nodes;
    const stack = this.#stack;
    const ox = x - this.#center[0];
    const oy = y - this.#center[1];
    const oz = z - this.#center[2];
    const ix = 1 / (dx === 0 ? TINY : dx);
    const iy = 1 / (dy === 0 ? TINY : dy);
    const iz = 1 / (dz === 0 ? TINY : dz);
    const backwards = (dx < 0 ? 1 : 0) | (dy < 0 ? 2 : 0) | (dz < 0 ? 4 : 0);
    let depth = 0;
    stack[depth++] = 0;
    while (depth > 0) {
      const node = stack[--depth] as number;
      const box = 6 * node;
      const x1 = ((boxes[box] as number) - ox) * ix;
      const x2 = ((boxes[box + 3] as number) - ox) * ix;
      let near = x1 < x2 ? x1 : x2;
      let far = x1 < x2 ? x2 : x1;
      const y1 = ((boxes[box + 1] as number) - oy) * iy;
      const y2 = ((boxes[box + 4] as number) - oy) * iy;
      const nearY = y1 < y2 ? y1 : y2;
      const farY = y1 < y2 ? y2 : y1;
      if (near < nearY) near = nearY;
      if (far > farY) far = farY;
      const z1 = ((boxes[box + 2] as number) - oz) * iz;
      const z2 = ((boxes[box + 5] as number) - oz) * iz;
      const nearZ = z1 < z2 ? z1 : z2;
      const farZ = z1 < z2 ? z2 : z1;
      if (near < nearZ) near = nearZ;
      if (far > farZ) far = farZ;
      if (near > far || far < least || near > this.hitDistance) continue;
      const first = nodes[2 * node] as number;
      const count = nodes[2 * node + 1] as number;
      if (count >= 0x80000000) {
        // The nearer child is taken first.
        const swap = (backwards >> (count & 3)) & 1;
        stack[depth++] = swap === 1 ? node + 1 : first;
        stack[depth++] = swap === 1 ? first : node + 1;
      } else {
        this.#leaf(first, count, ox, oy, oz, dx, dy, dz, least, skip, accept, onHit);
      }
    }
  }

  /** Möller and Trumbore's test, from both sides. */
  #leaf(
    first: number,
    count: number,
    ox: number,
    oy: number,
    oz: number,
    dx: number,
    dy: number,
    dz: number,
    least: number,
    skip: number,
    accept: ((triangle: number) => boolean) | undefined,
    onHit: ((triangle: number) => void) | undefined,
  ): void {
    const corners = this.#corners;
    for (let i = first; i < first + count; i++) {
      const at = 9 * i;
      const e1x = corners[at + 3] as number;
      const e1y = corners[at + 4] as number;
      const e1z = corners[at + 5] as number;
      const e2x = corners[at + 6] as number;
      const e2y = corners[at + 7] as number;
      const e2z = corners[at + 8] as number;
      const px = dy * e2z - dz * e2y;
      const py = dz * e2x - dx * e2z;
      const pz = dx * e2y - dy * e2x;
      const determinant = e1x * px + e1y * py + e1z * pz;
      if (determinant === 0) continue;
      const inverse = 1 / determinant;
      const tx = ox - (corners[at] as number);
      const ty = oy - (corners[at + 1] as number);
      const tz = oz - (corners[at + 2] as number);
      const u = (tx * px + ty * py + tz * pz) * inverse;
      if (u < -EDGE || u > 1 + EDGE) continue;
      const qx = ty * e1z - tz * e1y;
      const qy = tz * e1x - tx * e1z;
      const qz = tx * e1y - ty * e1x;
      const v = (dx * qx + dy * qy + dz * qz) * inverse;
      if (v < -EDGE || u + v > 1 + EDGE) continue;
      const distance = (e2x * qx + e2y * qy + e2z * qz) * inverse;
      if (distance < least || distance > this.hitDistance) continue;
      const triangle = this.#order[i] as number;
      if (triangle === skip || accept?.(triangle) === false) continue;
      if (onHit === undefined) {
        this.hitDistance = distance;
        this.hitTriangle = triangle;
      } else {
        onHit(triangle);
      }
    }
  }
}

function cornersOf(
  { positions, indices }: Mesh,
  center: readonly [number, number, number],
  order: Uint32Array,
): Float32Array {
  const corners = new Float32Array(9 * order.length);
  for (let i = 0; i < order.length; i++) {
    const t = 3 * (order[i] as number);
    const a = 3 * (indices[t] as number);
    const b = 3 * (indices[t + 1] as number);
    const c = 3 * (indices[t + 2] as number);
    for (let axis = 0; axis < 3; axis++) {
      const p = positions[a + axis] as number;
      corners[9 * i + axis] = p - (center[axis] as number);
      corners[9 * i + 3 + axis] = (positions[b + axis] as number) - p;
      corners[9 * i + 6 + axis] = (positions[c + axis] as number) - p;
    }
  }
  return corners;
}

class Build {
  readonly order: Uint32Array;
  readonly boxes: Float32Array;
  readonly nodes: Uint32Array;
  nodeCount = 0;
  /** Six for each triangle, as a node's. */
  readonly #extents: Float32Array;
  readonly #binCounts = new Uint32Array(BINS);
  readonly #binBoxes = new Float32Array(6 * BINS);
  readonly #rightAreas = new Float64Array(BINS);
  readonly #swept = new Float32Array(6);
  readonly #centers = new Float32Array(6);

  constructor({ positions, indices }: Mesh, center: readonly [number, number, number]) {
    const count = indices.length / 3;
    this.order = new Uint32Array(count);
    this.boxes = new Float32Array(12 * count);
    this.nodes = new Uint32Array(4 * count);
    this.#extents = new Float32Array(6 * count);
    for (let t = 0; t < count; t++) {
      this.order[t] = t;
      for (let axis = 0; axis < 3; axis++) {
        const middle = center[axis] as number;
        const a = (positions[3 * (indices[3 * t] as number) + axis] as number) - middle;
        const b = (positions[3 * (indices[3 * t + 1] as number) + axis] as number) - middle;
        const c = (positions[3 * (indices[3 * t + 2] as number) + axis] as number) - middle;
        const low = a < b ? (a < c ? a : c) : b < c ? b : c;
        const high = a > b ? (a > c ? a : c) : b > c ? b : c;
        // A little wider, so that rounding to 32 bits leaves nothing outside.
        const slack = 2e-7 * Math.max(Math.abs(low), Math.abs(high));
        this.#extents[6 * t + axis] = low - slack;
        this.#extents[6 * t + 3 + axis] = high + slack;
      }
    }
  }

  run(): void {
    if (this.order.length > 0) this.#node(0, this.order.length, 0);
    // A mesh without triangles: a leaf without any.
    else this.nodeCount = 1;
  }

  #node(from: number, to: number, depth: number): void {
    const node = this.nodeCount++;
    this.#bound(node, from, to);
    const middle = to - from <= LEAF ? undefined : this.#split(from, to, depth);
    if (middle === undefined) {
      this.nodes[2 * node] = from;
      this.nodes[2 * node + 1] = to - from;
      return;
    }
    const { at, axis } = middle;
    this.#node(from, at, depth + 1);
    this.nodes[2 * node] = this.nodeCount;
    this.nodes[2 * node + 1] = 0x80000000 + axis;
    this.#node(at, to, depth + 1);
  }

  /** The node's box, and twice the centers' bounds of its triangles into `#centers`. */
  #bound(node: number, from: number, to: number): void {
    const { boxes, order } = this;
    const extents = this.#extents;
    const centers = this.#centers;
    for (let axis = 0; axis < 3; axis++) {
      let low = Infinity;
      let high = -Infinity;
      let lowCenter = Infinity;
      let highCenter = -Infinity;
      for (let i = from; i < to; i++) {
        const t = 6 * (order[i] as number) + axis;
        const least = extents[t] as number;
        const most = extents[t + 3] as number;
        if (least < low) low = least;
        if (most > high) high = most;
        const center = least + most;
        if (center < lowCenter) lowCenter = center;
        if (center > highCenter) highCenter = center;
      }
      boxes[6 * node + axis] = low;
      boxes[6 * node + 3 + axis] = high;
      centers[axis] = lowCenter;
      centers[axis + 3] = highCenter;
    }
  }

  #split(from: number, to: number, depth: number): { at: number; axis: number } | undefined {
    const centers = this.#centers;
    let axis = 0;
    let width = -1;
    for (let candidate = 0; candidate < 3; candidate++) {
      const extent = (centers[candidate + 3] as number) - (centers[candidate] as number);
      if (extent > width) {
        width = extent;
        axis = candidate;
      }
    }
    // All in one place, or too deep: halves by count.
    if (!(width > 0) || depth >= MAX_DEPTH - 24) return { at: (from + to) >>> 1, axis };
    const low = centers[axis] as number;
    const scale = (BINS * (1 - 1e-6)) / width;
    const bin = this.#cheapest(from, to, axis, low, scale);
    const at = this.#partition(from, to, axis, low, scale, bin);
    return { at: at === from || at === to ? (from + to) >>> 1 : at, axis };
  }

  #binOf(triangle: number, axis: number, low: number, scale: number): number {
    const t = 6 * triangle + axis;
    const center = (this.#extents[t] as number) + (this.#extents[t + 3] as number);
    const bin = ((center - low) * scale) | 0;
    return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
  }

  /** The last bin of the left half. */
  #cheapest(from: number, to: number, axis: number, low: number, scale: number): number {
    const counts = this.#binCounts.fill(0);
    const bins = this.#binBoxes;
    for (let b = 0; b < BINS; b++) {
      bins.fill(Infinity, 6 * b, 6 * b + 3);
      bins.fill(-Infinity, 6 * b + 3, 6 * b + 6);
    }
    for (let i = from; i < to; i++) {
      const triangle = this.order[i] as number;
      const bin = this.#binOf(triangle, axis, low, scale);
      counts[bin] = (counts[bin] as number) + 1;
      widen(bins, 6 * bin, this.#extents, 6 * triangle);
    }
    const swept = this.#swept;
    swept.fill(Infinity, 0, 3).fill(-Infinity, 3, 6);
    for (let b = BINS - 1; b > 0; b--) {
      widen(swept, 0, bins, 6 * b);
      this.#rightAreas[b] = halfArea(swept);
    }
    swept.fill(Infinity, 0, 3).fill(-Infinity, 3, 6);
    let left = 0;
    let best = 0;
    let lowest = Infinity;
    for (let b = 0; b + 1 < BINS; b++) {
      widen(swept, 0, bins, 6 * b);
      left += counts[b] as number;
      const right = to - from - left;
      if (left === 0 || right === 0) continue;
      const cost = left * halfArea(swept) + right * (this.#rightAreas[b + 1] as number);
      if (cost < lowest) {
        lowest = cost;
        best = b;
      }
    }
    return best;
  }

  #partition(
    from: number,
    to: number,
    axis: number,
    low: number,
    scale: number,
    bin: number,
  ): number {
    const { order } = this;
    let left = from;
    let right = to;
    while (left < right) {
      const triangle = order[left] as number;
      if (this.#binOf(triangle, axis, low, scale) <= bin) {
        left++;
      } else {
        order[left] = order[--right] as number;
        order[right] = triangle;
      }
    }
    return left;
  }
}

function widen(box: Float32Array, at: number, by: Float32Array, from: number): void {
  const x1 = by[from] as number;
  const y1 = by[from + 1] as number;
  const z1 = by[from + 2] as number;
  const x2 = by[from + 3] as number;
  const y2 = by[from + 4] as number;
  const z2 = by[from + 5] as number;
  if (x1 < (box[at] as number)) box[at] = x1;
  if (y1 < (box[at + 1] as number)) box[at + 1] = y1;
  if (z1 < (box[at + 2] as number)) box[at + 2] = z1;
  if (x2 > (box[at + 3] as number)) box[at + 3] = x2;
  if (y2 > (box[at + 4] as number)) box[at + 4] = y2;
  if (z2 > (box[at + 5] as number)) box[at + 5] = z2;
}

function halfArea(box: Float32Array): number {
  const x = (box[3] as number) - (box[0] as number);
  const y = (box[4] as number) - (box[1] as number);
  const z = (box[5] as number) - (box[2] as number);
  return x < 0 ? 0 : x * y + y * z + z * x;
}
