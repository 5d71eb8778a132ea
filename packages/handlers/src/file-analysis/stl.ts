import { readSync } from "node:fs";
import { decimal, linesOf, quoted } from "./lines.ts";
import { MAX_TRIANGLES, type Mesh, MeshBuilder, ModelFault, tooManyTriangles } from "./mesh.ts";

const HEADER = 80;
const FACET = 50;
const FACETS_AT_ONCE = 20_000;

/**
 * Reads an STL file, binary or ASCII, by what it holds: binary files whose header begins with `solid` are
 * common. The unit, which STL does not tell, is taken for millimetres; stored normals are not looked at.
 *
 * @param size - bytes of the file
 * @throws {ModelFault}
 */
export function readStl(fd: number, size: number): Mesh {
  const head = Buffer.alloc(1024);
  const bytes = readSync(fd, head, 0, head.length, 0);
  if (bytes === 0) throw new ModelFault("the file is empty");
  const start = head.toString("latin1", 0, bytes);
  const claimed = bytes < HEADER + 4 ? -1 : head.readUInt32LE(HEADER);
  const needed = HEADER + 4 + FACET * claimed;
  const isAscii = /^\s*solid(?:\s|$)/i.test(start) && /^[\t-\r -~\u0080-\u00ff]*$/.test(start);
  if (claimed >= 0 && size === needed) return readBinary(fd, claimed);
  if (isAscii) return readAscii(fd);
  if (claimed < 0) {
    throw new ModelFault(
      `neither ASCII STL, which begins with "solid", nor binary STL, whose header alone has ${HEADER + 4} bytes`,
    );
  }
  // Fewer than 50 bytes more are no facet: some programs pad their files.
  if (size < needed || size >= needed + FACET) {
    throw new ModelFault(
      `header, bytes 80 to 83: claims ${claimed} triangles, ${needed} bytes in all, but the file has ${size} bytes`,
    );
  }
  return readBinary(fd, claimed);
}

function readBinary(fd: number, count: number): Mesh {
  if (count > MAX_TRIANGLES) throw tooManyTriangles();
  const mesh = new MeshBuilder(count);
  const chunk = Buffer.allocUnsafe(FACETS_AT_ONCE * FACET);
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.length);
  const corners = [0, 0, 0] as [number, number, number];
  for (let first = 0; first < count; first += FACETS_AT_ONCE) {
    const facets = Math.min(FACETS_AT_ONCE, count - first);
    readFully(fd, chunk, facets * FACET, HEADER + 4 + first * FACET);
    for (let facet = 0; facet < facets; facet++) {
      for (let corner = 0; corner < 3; corner++) {
        const at = facet * FACET + 12 + 12 * corner;
        const x = view.getFloat32(at, true);
        const y = view.getFloat32(at + 4, true);
        const z = view.getFloat32(at + 8, true);
        // Of finite 32-bit numbers the sum is finite.
        if (!Number.isFinite(x + y + z)) {
          throw new ModelFault(
            `triangle ${first + facet + 1}, corner ${corner + 1}: (${x}, ${y}, ${z}) is not finite`,
          );
        }
        corners[corner] = mesh.vertex(x, y, z);
      }
      mesh.triangle(...corners);
    }
  }
  return mesh.finish();
}

function readFully(fd: number, into: Buffer, length: number, position: number): void {
  for (let done = 0; done < length;) {
    const bytes = readSync(fd, into, done, length - done, position + done);
    if (bytes === 0) throw new ModelFault("the file was cut off while it was read");
    done += bytes;
  }
}

/** Facets of exactly three corners, of one or several solids; whatever else a line says is a fault. */
function readAscii(fd: number): Mesh {
  const mesh = new MeshBuilder();
  const corners: number[] = [];
  let inFacet = false;
  let ended = true;
  let number = 0;
  for (const line of linesOf(fd)) {
    number++;
    const words = line.trim().split(/\s+/);
    const keyword = (words[0] ?? "").toLowerCase();
    switch (keyword) {
      case "vertex": {
        if (!inFacet || corners.length === 3) {
          throw new ModelFault(`line ${number}: a vertex beyond the three of a facet`);
        }
        const place = `line ${number}`;
        corners.push(
          mesh.vertex(decimal(words[1], place), decimal(words[2], place), decimal(words[3], place)),
        );
        break;
      }
      case "facet":
        if (inFacet) throw new ModelFault(`line ${number}: a facet within a facet`);
        inFacet = true;
        break;
      case "endfacet": {
        const [a, b, c] = corners;
        if (!inFacet || a === undefined || b === undefined || c === undefined) {
          throw new ModelFault(`line ${number}: a facet of ${corners.length} vertices, not 3`);
        }
        mesh.triangle(a, b, c);
        corners.length = 0;
        inFacet = false;
        break;
      }
      case "solid":
        ended = false;
        break;
      case "endsolid":
        ended = true;
        break;
      case "outer":
      case "endloop":
      case "":
        break;
      default:
        throw new ModelFault(`line ${number}: ${quoted(words[0])} is no STL keyword`);
    }
  }
  if (inFacet || !ended) throw new ModelFault(`line ${number}: the file ends within a solid`);
  return mesh.finish();
}
