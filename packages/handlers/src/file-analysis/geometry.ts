import { Bvh } from "./bvh.ts";
import { type Mesh, ModelFault } from "./mesh.ts";
import { type Topology, topologyOf, turnOver, withoutDuplicates } from "./topology.ts";

export type Vector = readonly [number, number, number];

export interface Box {
  readonly min: Vector;
  readonly max: Vector;
}

/** What is wrong with the mesh; all counts. */
export interface Defects {
  /** Edges of an odd number of triangles: the surface has holes. */
  readonly openEdges: number;
  /** Edges of more than two triangles. */
  readonly nonManifoldEdges: number;
  /** Vertices at which parts of the surface touch that share no edge there. */
  readonly nonManifoldVertices: number;
  /** Triangles oriented unlike the rest of their shell; turned over for the analysis. */
  readonly flippedTriangles: number;
  /** Second copies of a triangle; left out. */
  readonly duplicateTriangles: number;
  /** Triangles with two corners at one place; left out. */
  readonly degenerateTriangles: number;
  /** Closed shells whose inside was out; turned over for the analysis. */
  readonly invertedShells: number;
  /** Closed shells that lie in solid material and enclose more of it: they add nothing. */
  readonly nestedShells: number;
}

export interface Geometry {
  /** mm³; null unless the surface is closed. */
  readonly volume: number | null;
  /** mm² */
  readonly surfaceArea: number;
  readonly boundingBox: Box;
  /** Of the volume; null unless the surface is closed. */
  readonly centroid: Vector | null;
  readonly triangles: number;
  readonly vertices: number;
  /** No edge is open. */
  readonly watertight: boolean;
  /** Around each edge and vertex the surface is one sheet (with a rim where it is open). */
  readonly manifold: boolean;
  /** Connected parts of the surface, cavities included. */
  readonly shells: number;
  /** Closed shells around empty space within solid material. */
  readonly cavities: number;
  /** Handles of all closed manifold shells together: a torus has one. */
  readonly throughHoles: number;
  readonly defects: Defects;
}

/** A mesh that is repaired where that is safe, and what was measured on it. */
export interface Measured {
  readonly mesh: Mesh;
  readonly topology: Topology;
  readonly geometry: Geometry;
  /** Of each shell, the shell that is the outside of its solid. */
  readonly outerShell: Uint32Array;
  /** Built already, if the measures needed it. */
  readonly bvh: Bvh | undefined;
}

/**
 * Measures a mesh. The volume is the sum of the signed tetrahedra between the triangles and a fixed point.
 * Closed shells count by the non-zero winding rule: one that lies in another is a cavity if it is
 * oriented inwards, and adds nothing if it is oriented outwards.
 *
 * @throws {ModelFault} when there is no surface at all
 */
export function measure(read: Mesh): Measured {
  const { mesh, duplicates } = withoutDuplicates(read);
  if (mesh.indices.length === 0) {
    throw new ModelFault(
      read.degenerateTriangles > 0
        ? `no surface: all ${read.degenerateTriangles} triangles are degenerate`
        : "no surface: the file has no triangles",
    );
  }
  const boundingBox = boxOf(mesh);
  const center = middleOf(boundingBox);
  let topology = topologyOf(mesh);
  const { flippedTriangles } = topology;
  const count = topology.shellStart.length - 1;
  const sums = shellSums(mesh, topology, center);
  const bvh = count > 1 ? new Bvh(mesh, center) : undefined;
  const nesting = nestingOf(mesh, topology, sums, bvh);
  if (nesting.inverted.length > 0) {
    turnOver(mesh, topology, nesting.inverted);
    topology = topologyOf(mesh);
  }
  const closed = topology.openEdges.count === 0 && topology.balanced && !topology.oneSided;
  const { volume, moment } = nesting;
  const solid = closed && volume > 0;
  const watertight = topology.openEdges.count === 0;
  const geometry: Geometry = {
    volume: solid ? volume : null,
    surfaceArea: sums.area,
    boundingBox,
    centroid: solid
      ? [
          center[0] + moment[0] / volume,
          center[1] + moment[1] / volume,
          center[2] + moment[2] / volume,
        ]
      : null,
    triangles: mesh.indices.length / 3,
    vertices: mesh.positions.length / 3,
    watertight,
    manifold:
      topology.nonManifoldEdges.count === 0 &&
      topology.nonManifoldVertices === 0 &&
      !topology.oneSided,
    shells: count,
    cavities: nesting.cavities,
    throughHoles: handles(topology),
    defects: {
      openEdges: topology.openEdges.count,
      nonManifoldEdges: topology.nonManifoldEdges.count,
      nonManifoldVertices: topology.nonManifoldVertices,
      flippedTriangles,
      duplicateTriangles: duplicates,
      degenerateTriangles: mesh.degenerateTriangles,
      invertedShells: nesting.inverted.length,
      nestedShells: nesting.nested,
    },
  };
  return { mesh, topology, geometry, outerShell: nesting.outerShell, bvh };
}

export function middleOf({ min, max }: Box): Vector {
  return [(min[0] + max[0]) / 2, (min[1] + max[1]) / 2, (min[2] + max[2]) / 2];
}

export function diagonalOf({ min, max }: Box): number {
  return Math.hypot(max[0] - min[0], max[1] - min[1], max[2] - min[2]);
}

/** Vertices that no triangle has do not count. */
function boxOf({ positions, indices }: Mesh): Box {
  const min: [number, number, number] = [Infinity, Infinity, Infinity];
  const max: [number, number, number] = [-Infinity, -Infinity, -Infinity];
  for (const vertex of indices) {
    for (let axis = 0; axis < 3; axis++) {
      const value = positions[3 * vertex + axis] as number;
      if (value < (min[axis] as number)) min[axis] = value;
      if (value > (max[axis] as number)) max[axis] = value;
    }
  }
  return { min, max };
}

interface ShellSums {
  /** Signed, of each shell, mm³. */
  readonly volume: Float64Array;
  /** Three for each shell: its volume times its centroid, from the middle of the mesh, mm⁴. */
  readonly moment: Float64Array;
  /** Of all, mm². */
  readonly area: number;
}

function shellSums({ positions, indices }: Mesh, topology: Topology, center: Vector): ShellSums {
  const count = topology.shellStart.length - 1;
  const volume = new Float64Array(count);
  const moment = new Float64Array(3 * count);
  let area = 0;
  const [mx, my, mz] = center;
  for (let t = 0; t < indices.length / 3; t++) {
    const a = 3 * (indices[3 * t] as number);
    const b = 3 * (indices[3 * t + 1] as number);
    const c = 3 * (indices[3 * t + 2] as number);
    const ax = (positions[a] as number) - mx;
    const ay = (positions[a + 1] as number) - my;
    const az = (positions[a + 2] as number) - mz;
    const bx = (positions[b] as number) - mx;
    const by = (positions[b + 1] as number) - my;
    const bz = (positions[b + 2] as number) - mz;
    const cx = (positions[c] as number) - mx;
    const cy = (positions[c + 1] as number) - my;
    const cz = (positions[c + 2] as number) - mz;
    const nx = (by - ay) * (cz - az) - (bz - az) * (cy - ay);
    const ny = (bz - az) * (cx - ax) - (bx - ax) * (cz - az);
    const nz = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
    area += Math.sqrt(nx * nx + ny * ny + nz * nz) / 2;
    // The tetrahedron's height over the triangle is the corner's along the normal.
    const tetrahedron = (ax * nx + ay * ny + az * nz) / 6;
    const shell = topology.shellOf[t] as number;
    volume[shell] = (volume[shell] as number) + tetrahedron;
    const at = 3 * shell;
    moment[at] = (moment[at] as number) + ((ax + bx + cx) / 4) * tetrahedron;
    moment[at + 1] = (moment[at + 1] as number) + ((ay + by + cy) / 4) * tetrahedron;
    moment[at + 2] = (moment[at + 2] as number) + ((az + bz + cz) / 4) * tetrahedron;
  }
  if (!Number.isFinite(area + volume.reduce((sum, value) => sum + Math.abs(value), 0))) {
    throw new ModelFault("coordinates too large to compute with");
  }
  return { volume, moment, area };
}

interface Nesting {
  /** mm³ */
  readonly volume: number;
  /** mm⁴, from the middle of the mesh. */
  readonly moment: Vector;
  /** Shells to turn over. */
  readonly inverted: readonly number[];
  readonly cavities: number;
  readonly nested: number;
  readonly outerShell: Uint32Array;
}

/** A direction along which nothing that people model lies. */
const ODD_DIRECTION: Vector = [0.5144957554275266, 0.6859943405700354, 0.5144957554275265];

const CONTAINED_POINTS = 7;

/** Which shells are solid, which cavities, and which were turned inside out. */
function nestingOf(mesh: Mesh, topology: Topology, sums: ShellSums, bvh: Bvh | undefined): Nesting {
  const { closed, mixed } = topology;
  const sign = new Int8Array(closed.length);
  const moment: [number, number, number] = [0, 0, 0];
  let volume = 0;
  const add = (shell: number, times: number): void => {
    volume += times * (sums.volume[shell] as number);
    for (let axis = 0; axis < 3; axis++) {
      moment[axis] = (moment[axis] as number) + times * (sums.moment[3 * shell + axis] as number);
    }
  };
  const outerShell = Uint32Array.from(closed.keys());
  // Parts that only together enclose something are taken as they are oriented, and for one solid.
  let loose = 0;
  const firstLoose = closed.indexOf(0);
  const alone: number[] = [];
  closed.forEach((isClosed, shell) => {
    if (isClosed === 1) alone.push(shell);
    else loose += sums.volume[shell] as number;
  });
  const inverted: number[] = [];
  closed.forEach((isClosed, shell) => {
    if (isClosed === 1) return;
    outerShell[shell] = firstLoose;
    if (loose < 0) inverted.push(shell);
    add(shell, loose < 0 ? -1 : 1);
  });
  // What contains a shell is larger, and decided before it.
  const size = (shell: number): number => Math.abs(sums.volume[shell] as number);
  alone.sort((one, other) => size(other) - size(one));
  let cavities = 0;
  let nested = 0;
  for (const shell of alone) {
    let winding = 0;
    let around = shell;
    for (const other of bvh === undefined ? [] : containersOf(shell, mesh, topology, bvh)) {
      winding += sign[other] as number;
      if (sign[other] === 1 && (around === shell || size(other) < size(around))) around = other;
    }
    const outwards = (sums.volume[shell] as number) >= 0;
    const inSolid = winding > 0;
    // Of a shell that had to be repaired the orientation says nothing.
    const isCavity = inSolid && (mixed[shell] === 1 || !outwards);
    sign[shell] = isCavity ? -1 : 1;
    if (isCavity ? outwards : !outwards) inverted.push(shell);
    if (isCavity) {
      cavities++;
      outerShell[shell] = around;
    } else if (inSolid) {
      nested++;
    }
    const remains = winding + (isCavity ? -1 : 1) > 0;
    const changes = Number(remains) - Number(inSolid);
    if (changes !== 0) add(shell, changes * (outwards ? 1 : -1));
  }
  return { volume, moment, inverted, cavities, nested, outerShell };
}

/**
 * The shells around a shell: around every one of a few points spread over it, as one alone may lie just
 * where two parts touch.
 */
function containersOf(
  shell: number,
  { positions, indices }: Mesh,
  { order, shellStart, shellOf }: Topology,
  bvh: Bvh,
): number[] {
  const from = shellStart[shell] as number;
  const triangles = (shellStart[shell + 1] as number) - from;
  const points = Math.min(CONTAINED_POINTS, Math.ceil(triangles / 4));
  let containers: number[] = [];
  for (let i = 0; i < points; i++) {
    const t = 3 * (order[from + Math.floor((i * triangles) / points)] as number);
    const origin = [0, 1, 2].map((axis) => {
      const at = (corner: number) =>
        positions[3 * (indices[t + corner] as number) + axis] as number;
      return 0.5 * at(0) + 0.3 * at(1) + 0.2 * at(2);
    }) as unknown as Vector;
    const crossed = new Set<number>();
    bvh.castThrough(origin, ODD_DIRECTION, (triangle) => {
      const other = shellOf[triangle] as number;
      if (other !== shell && !crossed.delete(other)) crossed.add(other);
    });
    containers = i === 0 ? [...crossed] : containers.filter((other) => crossed.has(other));
    if (containers.length === 0) break;
  }
  return containers;
}

/** By Euler's formula: vertices - edges + triangles = 2 - 2 handles, with 3 triangles to 2 edges. */
function handles({ closed, fans, shellStart }: Topology): number {
  let sum = 0;
  closed.forEach((isClosed, shell) => {
    if (isClosed === 0) return;
    const triangles = (shellStart[shell + 1] as number) - (shellStart[shell] as number);
    sum += 1 - ((fans[shell] as number) - triangles / 2) / 2;
  });
  return sum;
}
