import { triangulate } from "./polygon.ts";
import { decimal, linesOf, quoted } from "./lines.ts";
import { MAX_TRIANGLES, type Mesh, MeshBuilder, ModelFault } from "./mesh.ts";

/** Corners of one face. */
const MAX_CORNERS = 1000;
/** As written; many programs write each face's own. */
const MAX_WRITTEN = 3 * MAX_TRIANGLES;

/**
 * Reads the surface of a Wavefront OBJ file: `v` and `f`, polygons included. The unit, which OBJ does not
 * tell, is taken for millimetres; names, materials, texture, normals, lines and points are passed over.
 *
 * @throws {ModelFault}
 */
export function readObj(fd: number): Mesh {
  const mesh = new MeshBuilder();
  /** Vertices of the mesh in the file's order. */
  let vertices = new Uint32Array(1024);
  let count = 0;
  let number = 0;
  let pending = "";
  let first = 1;
  for (const raw of linesOf(fd)) {
    number++;
    if (pending === "") first = number;
    let line = raw.trim();
    if (line.endsWith("\\")) {
      pending += `${line.slice(0, -1)} `;
      if (pending.length > 100_000) throw new ModelFault(`line ${first}: continued without end`);
      continue;
    }
    line = pending + line;
    pending = "";
    const words = line.split(/\s+/);
    const place = `line ${first}`;
    if (words[0] === "v") {
      const x = decimal(words[1], place);
      const y = decimal(words[2], place);
      const z = decimal(words[3], place);
      if (count === MAX_WRITTEN) {
        throw new ModelFault(`${place}: more than ${MAX_WRITTEN.toLocaleString("en")} vertices`);
      }
      if (count === vertices.length) {
        const larger = new Uint32Array(2 * count);
        larger.set(vertices);
        vertices = larger;
      }
      vertices[count++] = mesh.vertex(x, y, z);
    } else if (words[0] === "f") {
      const corners = cornersOf(words, vertices.subarray(0, count), place);
      if (corners.length === 3) {
        mesh.triangle(corners[0] as number, corners[1] as number, corners[2] as number);
      } else {
        const at = (corner: number) => mesh.position(corner);
        for (const [a, b, c] of triangulate(corners, at)) mesh.triangle(a, b, c);
      }
    } else if (!/^(?:$|#|[a-z_]+$)/i.test(words[0] ?? "")) {
      throw new ModelFault(`${place}: ${quoted(words[0])} is no OBJ keyword`);
    }
  }
  if (number === 0) throw new ModelFault("the file is empty");
  return mesh.finish();
}

/** `f v/vt/vn ...`: counted from 1, or backwards from the last vertex so far if negative. */
function cornersOf(words: readonly string[], vertices: Uint32Array, place: string): number[] {
  if (words.length < 4) throw new ModelFault(`${place}: a face of ${words.length - 1} corners`);
  if (words.length - 1 > MAX_CORNERS) {
    throw new ModelFault(`${place}: a face of more than ${MAX_CORNERS} corners`);
  }
  return words.slice(1).map((word) => {
    const written = /^([+-]?\d{1,9})(?:\/\d*|\/-?\d*\/-?\d*)?$/.exec(word)?.[1];
    const index = Number(written);
    const vertex = vertices[index < 0 ? vertices.length + index : index - 1];
    if (written === undefined || vertex === undefined) {
      throw new ModelFault(
        `${place}: ${quoted(word)} names no vertex; there are ${vertices.length} so far`,
      );
    }
    return vertex;
  });
}
