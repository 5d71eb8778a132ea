/** A model that cannot be analysed, told so that its producer can mend it: file, and line or field. */
export class ModelFault extends Error {
  override readonly name = "ModelFault";
}

/**
 * Bounds the memory of one analysis: a closed mesh takes some 200 bytes a triangle, loose triangles, whose
 * vertices are all their own, some 400.
 */
export const MAX_TRIANGLES = 5_000_000;
/** A closed mesh has half as many vertices as triangles. */
export const MAX_VERTICES = 5_000_000;

export interface Mesh {
  /** x, y and z of each vertex, mm; no two vertices of one body are at the same place. */
  readonly positions: Float64Array;
  /** Three vertices a triangle, counterclockwise seen from outside. */
  readonly indices: Uint32Array;
  /** Triangles left out because two of their corners are one vertex. */
  readonly degenerateTriangles: number;
}

/**
 * Gathers triangles. Vertices of a body at exactly the same place become one, as STL has no other way to say
 * that triangles touch.
 */
export class MeshBuilder {
  #positions = new Float64Array(3 * 1024);
  #vertices = 0;
  #indices = new Uint32Array(3 * 1024);
  #corners = 0;
  #degenerate = 0;
  /** Its first vertex. */
  #body = 0;
  /** Open addressing; a slot holds a vertex + 1, or 0. A power of two long, at most half full. */
  #slots = new Uint32Array(4096);
  /** Slots taken, those of earlier bodies included. */
  #taken = 0;
  /** One vertex' numbers, and the same bits for hashing. */
  readonly #probe = new Float64Array(3);
  readonly #bits = new Uint32Array(this.#probe.buffer);

  constructor(expectedTriangles = 0) {
    if (expectedTriangles === 0) return;
    this.#indices = new Uint32Array(3 * Math.min(expectedTriangles, MAX_TRIANGLES));
    this.#positions = new Float64Array(Math.ceil(1.6 * expectedTriangles) + 1024);
    this.#slots = new Uint32Array(2 ** Math.max(12, Math.ceil(Math.log2(expectedTriangles * 1.1))));
  }

  /** Triangles taken so far, degenerate ones included. */
  get triangles(): number {
    return this.#corners / 3 + this.#degenerate;
  }

  /** What follows touches nothing that came before, even where places are the same. */
  startBody(): void {
    this.#body = this.#vertices;
  }

  /**
   * The vertex at this place, mm; the numbers must be finite.
   *
   * @throws {ModelFault} when there are too many
   */
  vertex(x: number, y: number, z: number): number {
    const probe = this.#probe;
    // Adding 0 makes -0 plain.
    probe[0] = x + 0;
    probe[1] = y + 0;
    probe[2] = z + 0;
    const positions = this.#positions;
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#hash() & mask;
    for (;;) {
      const found = slots[slot] as number;
      if (found === 0) break;
      const at = 3 * (found - 1);
      if (
        positions[at] === x &&
        positions[at + 1] === y &&
        positions[at + 2] === z &&
        found > this.#body
      ) {
        return found - 1;
      }
      slot = (slot + 1) & mask;
    }
    if (this.#vertices === MAX_VERTICES) throw tooManyVertices();
    if (3 * this.#vertices + 3 > positions.length) this.#positions = grown(positions);
    this.#positions.set(probe, 3 * this.#vertices);
    slots[slot] = ++this.#vertices;
    if (2 * ++this.#taken > slots.length) this.#rehash();
    return this.#vertices - 1;
  }

  position(vertex: number): [number, number, number] {
    const [x = 0, y = 0, z = 0] = this.#positions.subarray(3 * vertex, 3 * vertex + 3);
    return [x, y, z];
  }

  /** @throws {ModelFault} when there are too many */
  triangle(a: number, b: number, c: number): void {
    if (a === b || b === c || c === a) {
      this.#degenerate++;
      return;
    }
    if (this.#corners >= 3 * MAX_TRIANGLES) throw tooManyTriangles();
    if (this.#corners + 3 > this.#indices.length) this.#indices = grown(this.#indices);
    this.#indices[this.#corners++] = a;
    this.#indices[this.#corners++] = b;
    this.#indices[this.#corners++] = c;
  }

  finish(): Mesh {
    return {
      positions: this.#positions.subarray(0, 3 * this.#vertices),
      indices: this.#indices.subarray(0, this.#corners),
      degenerateTriangles: this.#degenerate,
    };
  }

  #hash(): number {
    const bits = this.#bits;
    // Bodies all in one place must not all share their slots.
    let hash = this.#body;
    for (let i = 0; i < 6; i++) {
      hash = Math.imul(hash ^ (bits[i] as number), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  /** Makes room; earlier bodies are forgotten. */
  #rehash(): void {
    this.#taken = this.#vertices - this.#body;
    const size = this.#slots.length;
    const slots = new Uint32Array(4 * this.#taken > size ? 2 * size : size);
    const mask = slots.length - 1;
    for (let vertex = this.#body; vertex < this.#vertices; vertex++) {
      this.#probe.set(this.#positions.subarray(3 * vertex, 3 * vertex + 3));
      let slot = this.#hash() & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = vertex + 1;
    }
    this.#slots = slots;
  }
}

export function tooManyTriangles(): ModelFault {
  return new ModelFault(
    `more than ${MAX_TRIANGLES.toLocaleString("en")} triangles, the most that is analysed`,
  );
}

export function tooManyVertices(): ModelFault {
  return new ModelFault(
    `more than ${MAX_VERTICES.toLocaleString("en")} vertices, the most that are analysed`,
  );
}

function grown<Numbers extends Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(
  numbers: Numbers,
): Numbers {
  const larger = numbers instanceof Float64Array ? Float64Array : Uint32Array;
  const copy = new larger(2 * numbers.length);
  copy.set(numbers);
  return copy as Numbers;
}
