import { type Box, type Measured, middleOf, type Vector } from "./geometry.ts";

export interface Place {
  readonly center: Vector;
  readonly boundingBox: Box;
}

export interface Region extends Place {
  /** mm² */
  readonly area: number;
  readonly triangles: number;
}

/** Normals, areas and middles of the triangles of a mesh. */
export class Triangles {
  readonly count: number;
  /** mm² */
  readonly area: Float32Array;
  /** The unit normal's z. */
  readonly upward: Float32Array;
  readonly twin: Int32Array;
  readonly #positions: Float64Array;
  readonly #indices: Uint32Array;
  readonly #normals: Float32Array;

  constructor({ mesh, topology }: Measured) {
    this.#positions = mesh.positions;
    this.#indices = mesh.indices;
    this.twin = topology.twin;
    this.count = mesh.indices.length / 3;
    this.area = new Float32Array(this.count);
    this.upward = new Float32Array(this.count);
    this.#normals = new Float32Array(3 * this.count);
    const { positions, indices } = mesh;
    for (let t = 0; t < this.count; t++) {
      const a = 3 * (indices[3 * t] as number);
      const b = 3 * (indices[3 * t + 1] as number);
      const c = 3 * (indices[3 * t + 2] as number);
      const ux = (positions[b] as number) - (positions[a] as number);
      const uy = (positions[b + 1] as number) - (positions[a + 1] as number);
      const uz = (positions[b + 2] as number) - (positions[a + 2] as number);
      const vx = (positions[c] as number) - (positions[a] as number);
      const vy = (positions[c + 1] as number) - (positions[a + 1] as number);
      const vz = (positions[c + 2] as number) - (positions[a + 2] as number);
      const x = uy * vz - uz * vy;
      const y = uz * vx - ux * vz;
      const z = ux * vy - uy * vx;
      const length = Math.sqrt(x * x + y * y + z * z);
      this.area[t] = length / 2;
      if (length === 0) continue;
      this.#normals[3 * t] = x / length;
      this.#normals[3 * t + 1] = y / length;
      this.#normals[3 * t + 2] = z / length;
      this.upward[t] = z / length;
    }
  }

  corner(t: number, corner: number): [number, number, number] {
    const positions = this.#positions;
    const at = 3 * (this.#indices[3 * t + corner] as number);
    return [positions[at] as number, positions[at + 1] as number, positions[at + 2] as number];
  }

  /** A zero vector for a triangle without area. */
  normal(t: number): [number, number, number] {
    const normals = this.#normals;
    return [normals[3 * t] as number, normals[3 * t + 1] as number, normals[3 * t + 2] as number];
  }

  place(triangles: Iterable<number>): Place {
    const boundingBox = this.boundsOf(triangles);
    return { center: middleOf(boundingBox), boundingBox };
  }

  boundsOf(triangles: Iterable<number>): Box {
    const min: [number, number, number] = [Infinity, Infinity, Infinity];
    const max: [number, number, number] = [-Infinity, -Infinity, -Infinity];
    for (const t of triangles) {
      for (let corner = 0; corner < 3; corner++) {
        this.corner(t, corner).forEach((value, axis) => {
          min[axis] = Math.min(min[axis] as number, value);
          max[axis] = Math.max(max[axis] as number, value);
        });
      }
    }
    return { min, max };
  }

  region(triangles: readonly number[]): Region {
    const area = triangles.reduce((sum, t) => sum + (this.area[t] as number), 0);
    return { ...this.place(triangles), area, triangles: triangles.length };
  }

  /** Cosine of the angle between the outsides of two triangles. */
  cosine(t: number, u: number): number {
    const normals = this.#normals;
    return (
      (normals[3 * t] as number) * (normals[3 * u] as number) +
      (normals[3 * t + 1] as number) * (normals[3 * u + 1] as number) +
      (normals[3 * t + 2] as number) * (normals[3 * u + 2] as number)
    );
  }
}

/** Triangles that meet a condition, gathered where they share edges; the largest regions first. */
export function regionsOf(triangles: Triangles, wanted: (t: number) => boolean): number[][] {
  const { count, twin, area } = triangles;
  const seen = new Uint8Array(count);
  const regions: number[][] = [];
  for (let seed = 0; seed < count; seed++) {
    if (seen[seed] === 1 || !wanted(seed)) continue;
    seen[seed] = 1;
    const region = [seed];
    for (const t of region) {
      for (let h = 3 * t; h < 3 * t + 3; h++) {
        const g = twin[h] as number;
        const u = Math.floor(g / 3);
        if (g === -1 || seen[u] === 1 || !wanted(u)) continue;
        seen[u] = 1;
        region.push(u);
      }
    }
    regions.push(region);
  }
  const sizes = new Map(
    regions.map((region) => [region, region.reduce((sum, t) => sum + (area[t] as number), 0)]),
  );
  return regions.sort((one, other) => (sizes.get(other) ?? 0) - (sizes.get(one) ?? 0));
}
