import { readSync } from "node:fs";
import type { StepModel } from "occt-import-js";
import { MAX_TRIANGLES, type Mesh, MeshBuilder, ModelFault, tooManyTriangles } from "./mesh.ts";

/** Bytes; OpenCascade takes some forty times that while it reads. */
export const MAX_STEP_BYTES = 50_000_000;
/** All memory of OpenCascade, bytes; it is no part of the thread's heap. */
const MAX_MEMORY = 1_500_000_000;
const PAGE = 65_536;
/**
 * Radians between neighbouring triangles of a curved surface: cylinders come out within 0.05 % of their volume,
 * spheres within 0.1 %.
 */
const ANGLE = 0.05;

/** The types that are compiled against leave it out. */
interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
const { Memory, RuntimeError } = (
  globalThis as unknown as {
    WebAssembly: { Memory: { prototype: Memory }; RuntimeError: typeof Error };
  }
).WebAssembly;

/**
 * Reads the solids of a STEP file as triangles, by OpenCascade. Each reading has an OpenCascade of its own, as its memory
 * never shrinks.
 *
 * @throws {ModelFault}
 */
export async function readStep(fd: number, size: number): Promise<Mesh> {
  if (size > MAX_STEP_BYTES) {
    throw new ModelFault(`${size} bytes, at most ${MAX_STEP_BYTES} of STEP are read`);
  }
  const content = Buffer.alloc(size);
  for (let done = 0; done < size;) {
    const bytes = readSync(fd, content, done, size - done, done);
    if (bytes === 0) throw new ModelFault("the file was cut off while it was read");
    done += bytes;
  }
  if (!/^\s*(?:\/\*[^]*?\*\/\s*)?ISO-10303-21\s*;/.test(content.toString("latin1", 0, 4096))) {
    throw new ModelFault("line 1: not a STEP file, which begins with ISO-10303-21;");
  }
  if (!/END-ISO-10303-21\s*;\s*$/.test(content.toString("latin1", Math.max(0, size - 4096)))) {
    throw new ModelFault("the file is cut off: it does not end with END-ISO-10303-21;");
  }
  const { default: open } = await import("occt-import-js");
  const limit = limitMemory(MAX_MEMORY);
  try {
    const openCascade = await open({ print: () => undefined, printErr: () => undefined });
    const { success, meshes = [] } = openCascade.ReadStepFile(content, {
      linearUnit: "millimeter",
      linearDeflectionType: "bounding_box_ratio",
      linearDeflection: 0.001,
      angularDeflection: ANGLE,
    });
    if (!success) throw new ModelFault("OpenCascade finds no STEP model in it");
    if (meshes.length === 0) {
      throw new ModelFault("the STEP model has no solids or surfaces of its own");
    }
    return joined(meshes);
  } catch (error) {
    if (error instanceof ModelFault) throw error;
    if (limit.reached) {
      throw new ModelFault(`reading takes OpenCascade more than ${MAX_MEMORY / 1e6} MB`);
    }
    // C++ exceptions come as bare numbers, traps as WebAssembly's errors.
    const trapped = error instanceof RuntimeError || typeof error === "number";
    if (trapped) throw new ModelFault("OpenCascade cannot read it");
    throw error;
  } finally {
    limit.lift();
  }
}

/**
 * Bounds every WebAssembly memory of this thread, bytes. OpenCascade asks this method for memory, and takes an exception for a no.
 */
export function limitMemory(most: number): { readonly reached: boolean; lift(): void } {
  const { prototype } = Memory;
  // oxlint-disable-next-line typescript/unbound-method -- called with the memory it belongs to
  const { grow } = prototype;
  let reached = false;
  prototype.grow = function (this: Memory, pages: number): number {
    if (this.buffer.byteLength + pages * PAGE > most) {
      reached = true;
      throw new RangeError("Too much memory");
    }
    return grow.call(this, pages);
  };
  return {
    get reached() {
      return reached;
    },
    lift() {
      prototype.grow = grow;
    },
  };
}

function joined(meshes: NonNullable<StepModel["meshes"]>): Mesh {
  const count = meshes.reduce((sum, { index }) => sum + index.array.length / 3, 0);
  if (count > MAX_TRIANGLES) throw tooManyTriangles();
  const mesh = new MeshBuilder(count);
  for (const { attributes, index, name = "" } of meshes) {
    const { array } = attributes.position;
    mesh.startBody();
    const vertices = Uint32Array.from({ length: array.length / 3 }, (_, v) => {
      const [x = Number.NaN, y = Number.NaN, z = Number.NaN] = array.slice(3 * v, 3 * v + 3);
      if (!Number.isFinite(x + y + z)) {
        throw new ModelFault(`solid ${JSON.stringify(name.slice(0, 100))}: a point is not finite`);
      }
      return mesh.vertex(x, y, z);
    });
    const at = (i: number): number => vertices[index.array[i] as number] as number;
    for (let i = 0; i < index.array.length; i += 3) mesh.triangle(at(i), at(i + 1), at(i + 2));
  }
  return mesh.finish();
}
