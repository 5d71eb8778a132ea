import type { Mesh } from "./mesh.ts";

/** Groups up to this long are sorted by insertion. */
const FEW = 24;

/** How the triangles of a mesh hang together, after repair of their orientation. */
export interface Topology {
  /**
   * Half-edge h = 3 t + k runs from corner k of triangle t to the next; here is the one that runs back along
   * it in the only other triangle there, or -1.
   */
  readonly twin: Int32Array;
  /** Of each triangle; shells are numbered from 0, and hang together over edges of exactly two triangles. */
  readonly shellOf: Uint32Array;
  /** Triangles by shell. */
  readonly order: Uint32Array;
  /** Where in `order` each shell begins; one more, for the end. */
  readonly shellStart: Uint32Array;
  /** Shells all of whose edges have exactly two triangles. */
  readonly closed: Uint8Array;
  /** Shells whose triangles were not all oriented alike; they are now. */
  readonly mixed: Uint8Array;
  /** Vertices of each shell, one that several fans of triangles share counted for each. */
  readonly fans: Uint32Array;
  /** Edges, each of both its directions as often as of the other: the surface encloses a volume. */
  readonly balanced: boolean;
  readonly openEdges: EdgeDefects;
  readonly nonManifoldEdges: EdgeDefects;
  /** Vertices where several fans of triangles meet. */
  readonly nonManifoldVertices: number;
  readonly flippedTriangles: number;
  /** A shell has one side only, like a Möbius strip. */
  readonly oneSided: boolean;
}

export interface EdgeDefects {
  readonly count: number;
  /** A half-edge of the first. */
  readonly first: number;
}

/** The mesh without second copies of triangles (same corners in the same turn), and how many there were. */
export function withoutDuplicates(mesh: Mesh): {
  readonly mesh: Mesh;
  readonly duplicates: number;
} {
  const { indices, positions } = mesh;
  const triangles = indices.length / 3;
  /** The half-edge from its least vertex. */
  const firstOf = (t: number): number => {
    const a = indices[3 * t] as number;
    const b = indices[3 * t + 1] as number;
    const c = indices[3 * t + 2] as number;
    if (a < b && a < c) return 3 * t;
    return b < c ? 3 * t + 1 : 3 * t + 2;
  };
  const second = (t: number): number => indices[nextHalfEdge(firstOf(t))] as number;
  const third = (t: number): number => indices[previousHalfEdge(firstOf(t))] as number;
  const least = (t: number): number => indices[firstOf(t)] as number;
  const { start, items } = grouped(positions.length / 3, triangles, least);
  const isCopy = new Uint8Array(triangles);
  const keys = new Uint32Array(FEW);
  let duplicates = 0;
  for (let vertex = 0; vertex + 1 < start.length; vertex++) {
    const from = start[vertex] as number;
    const to = start[vertex + 1] as number;
    if (to - from < 2) continue;
    sortBy(items.subarray(from, to), second, keys);
    for (let i = from; i < to;) {
      let end = i + 1;
      const t = items[i] as number;
      while (end < to && second(items[end] as number) === second(t)) end++;
      if (end - i > 1) {
        sortBy(items.subarray(i, end), third, keys);
        for (let k = i + 1; k < end; k++) {
          // Sorting keeps the order of equals, so that the first in the file stays.
          if (third(items[k - 1] as number) !== third(items[k] as number)) continue;
          isCopy[items[k] as number] = 1;
          duplicates++;
        }
      }
      i = end;
    }
  }
  if (duplicates === 0) return { mesh, duplicates };
  const kept = new Uint32Array(indices.length - 3 * duplicates);
  let at = 0;
  for (let t = 0; t < triangles; t++) {
    if (isCopy[t] === 1) continue;
    kept.set(indices.subarray(3 * t, 3 * t + 3), at);
    at += 3;
  }
  return { mesh: { ...mesh, indices: kept }, duplicates };
}

/** Finds shells and defects; turns triangles over in place where a shell's are not oriented alike. */
export function topologyOf(mesh: Mesh): Topology {
  const { indices } = mesh;
  const vertices = mesh.positions.length / 3;
  let edges = edgesOf(indices, vertices);
  const shells = shellsOf(indices, edges.twin);
  if (shells.flipped > 0) edges = edgesOf(indices, vertices);
  const { twin } = edges;
  const { shellOf, order, shellStart } = shells;
  const count = shellStart.length - 1;
  const closed = new Uint8Array(count).fill(1);
  for (let h = 0; h < twin.length; h++) {
    if (twin[h] === -1) closed[shellOf[Math.floor(h / 3)] as number] = 0;
  }
  const fans = new Uint32Array(count);
  const nonManifoldVertices = countFans(indices, vertices, twin, shellOf, fans);
  return {
    twin,
    shellOf,
    order,
    shellStart,
    closed,
    mixed: shells.mixed,
    fans,
    balanced: edges.balanced,
    openEdges: edges.open,
    nonManifoldEdges: edges.nonManifold,
    nonManifoldVertices,
    flippedTriangles: shells.flipped,
    oneSided: shells.oneSided,
  };
}

/** Turns all triangles of the shells over; the topology has to be found anew. */
export function turnOver(mesh: Mesh, topology: Topology, shells: Iterable<number>): void {
  const { order, shellStart } = topology;
  for (const shell of shells) {
    for (let i = shellStart[shell] as number; i < (shellStart[shell + 1] as number); i++) {
      flip(mesh.indices, order[i] as number);
    }
  }
}

function flip(indices: Uint32Array, t: number): void {
  const b = indices[3 * t + 1] as number;
  indices[3 * t + 1] = indices[3 * t + 2] as number;
  indices[3 * t + 2] = b;
}

export function nextHalfEdge(h: number): number {
  return h % 3 === 2 ? h - 2 : h + 1;
}

function previousHalfEdge(h: number): number {
  return h % 3 === 0 ? h + 2 : h - 1;
}

/** Counting sort: the numbers below `count` by group. */
function grouped(groups: number, count: number, groupOf: (item: number) => number) {
  const start = new Uint32Array(groups + 1);
  for (let i = 0; i < count; i++) start[groupOf(i) + 1] = (start[groupOf(i) + 1] as number) + 1;
  for (let g = 0; g < groups; g++) {
    start[g + 1] = (start[g + 1] as number) + (start[g] as number);
  }
  const items = new Uint32Array(count);
  const next = start.slice(0, groups);
  for (let i = 0; i < count; i++) {
    const group = groupOf(i);
    const at = next[group] as number;
    items[at] = i;
    next[group] = at + 1;
  }
  return { start, items };
}

interface Edges {
  /** As in `Topology`, but the two half-edges may run the same way. */
  readonly twin: Int32Array;
  readonly balanced: boolean;
  readonly open: EdgeDefects;
  readonly nonManifold: EdgeDefects;
}

function edgesOf(indices: Uint32Array, vertices: number): Edges {
  const count = indices.length;
  const ending = (h: number): number => indices[nextHalfEdge(h)] as number;
  const { start, items } = grouped(vertices, count, (h) =>
    Math.min(indices[h] as number, ending(h)),
  );
  const twin = new Int32Array(count).fill(-1);
  const open = { count: 0, first: -1 };
  const nonManifold = { count: 0, first: -1 };
  let balanced = true;
  const keys = new Uint32Array(FEW);
  for (let vertex = 0; vertex < vertices; vertex++) {
    const from = start[vertex] as number;
    const to = start[vertex + 1] as number;
    const far = (h: number): number => Math.max(indices[h] as number, ending(h));
    sortBy(items.subarray(from, to), far, keys);
    for (let i = from; i < to;) {
      const h = items[i] as number;
      const other = far(h);
      let end = i + 1;
      while (end < to && far(items[end] as number) === other) end++;
      if (end - i === 2) {
        const g = items[i + 1] as number;
        twin[h] = g;
        twin[g] = h;
        if (indices[h] === indices[g]) balanced = false;
      } else {
        let forth = 0;
        for (let j = i; j < end; j++) forth += indices[items[j] as number] === vertex ? 1 : -1;
        if (forth !== 0) balanced = false;
        const defect = (end - i) % 2 === 1 ? open : nonManifold;
        defect.count++;
        if (defect.first === -1) defect.first = h;
        // Three triangles at an edge leave it open and branch there as well.
        if (end - i > 2 && defect === open) {
          nonManifold.count++;
          if (nonManifold.first === -1) nonManifold.first = h;
        }
      }
      i = end;
    }
  }
  return { twin, balanced, open, nonManifold };
}

/** Sorts in place by a whole number below 2^32; `keys` is room for short runs. */
function sortBy(items: Uint32Array, keyOf: (item: number) => number, keys: Uint32Array): void {
  const count = items.length;
  if (count > FEW) {
    // One corner may have millions of triangles.
    const sorted = Float64Array.from(items, (item, i) => keyOf(item) * 2 ** 26 + i).sort();
    const before = items.slice();
    for (let i = 0; i < count; i++) items[i] = before[(sorted[i] as number) % 2 ** 26] as number;
    return;
  }
  for (let i = 0; i < count; i++) {
    const item = items[i] as number;
    const key = keyOf(item);
    let at = i;
    while (at > 0 && (keys[at - 1] as number) > key) {
      keys[at] = keys[at - 1] as number;
      items[at] = items[at - 1] as number;
      at--;
    }
    keys[at] = key;
    items[at] = item;
  }
}

/** Walks over every shell; in each, the fewer triangles are turned over so that all are oriented alike. */
function shellsOf(indices: Uint32Array, twin: Int32Array) {
  const triangles = indices.length / 3;
  const unseen = 0xffffffff;
  const shellOf = new Uint32Array(triangles).fill(unseen);
  const order = new Uint32Array(triangles);
  const turned = new Uint8Array(triangles);
  const starts: number[] = [];
  const mixed: number[] = [];
  let end = 0;
  let flipped = 0;
  let oneSided = false;
  for (let seed = 0; seed < triangles; seed++) {
    if (shellOf[seed] !== unseen) continue;
    const shell = starts.length;
    const from = end;
    let turnedHere = 0;
    starts.push(from);
    shellOf[seed] = shell;
    order[end++] = seed;
    for (let i = from; i < end; i++) {
      const t = order[i] as number;
      for (let h = 3 * t; h < 3 * t + 3; h++) {
        const g = twin[h] as number;
        if (g === -1) continue;
        const u = Math.floor(g / 3);
        const isTurned = (turned[t] as number) ^ (indices[h] === indices[g] ? 1 : 0);
        if (shellOf[u] === unseen) {
          shellOf[u] = shell;
          order[end++] = u;
          turned[u] = isTurned;
          turnedHere += isTurned;
        } else if (turned[u] !== isTurned) {
          oneSided = true;
        }
      }
    }
    const size = end - from;
    const others = 2 * turnedHere > size ? 1 : 0;
    if (others === 1) turnedHere = size - turnedHere;
    mixed.push(turnedHere > 0 ? 1 : 0);
    flipped += turnedHere;
    if (turnedHere === 0) continue;
    for (let i = from; i < end; i++) {
      const t = order[i] as number;
      if (turned[t] !== others) flip(indices, t);
    }
  }
  starts.push(end);
  return {
    shellOf,
    order,
    shellStart: Uint32Array.from(starts),
    mixed: Uint8Array.from(mixed),
    flipped,
    oneSided,
  };
}

/** Counts each shell's fans into `fans`; returns how many vertices have several. */
function countFans(
  indices: Uint32Array,
  vertices: number,
  twin: Int32Array,
  shellOf: Uint32Array,
  fans: Uint32Array,
): number {
  const seen = new Uint8Array(indices.length);
  const fansAt = new Uint8Array(vertices);
  for (let corner = 0; corner < indices.length; corner++) {
    if (seen[corner] === 1) continue;
    const vertex = indices[corner] as number;
    const shell = shellOf[Math.floor(corner / 3)] as number;
    fans[shell] = (fans[shell] as number) + 1;
    fansAt[vertex] = Math.min(2, (fansAt[vertex] as number) + 1);
    seen[corner] = 1;
    // Round the vertex one way, and from an open edge the other way too.
    let h = twin[previousHalfEdge(corner)] as number;
    while (h !== -1 && seen[h] === 0) {
      seen[h] = 1;
      h = twin[previousHalfEdge(h)] as number;
    }
    if (h !== -1) continue;
    h = twin[corner] as number;
    while (h !== -1) {
      h = nextHalfEdge(h);
      if (seen[h] === 1) break;
      seen[h] = 1;
      h = twin[h] as number;
    }
  }
  let shared = 0;
  for (const count of fansAt) if (count > 1) shared++;
  return shared;
}
