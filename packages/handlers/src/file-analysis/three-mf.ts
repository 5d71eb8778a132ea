import { fromFdPromise, type Entry, type ZipFile } from "yauzl";
import { MAX_TRIANGLES, type Mesh, MeshBuilder, ModelFault, tooManyTriangles } from "./mesh.ts";
import { type ModelPart, readModelPart, type Reference, type Transform } from "./three-mf-model.ts";

const MAX_ENTRIES = 10_000;
/** Inflated bytes of all model parts together: what the most triangles take, and twice that. */
const MAX_INFLATED = 1_000_000_000;
/** Parts of one archive. */
const MAX_PARTS = 1000;
const MAX_RELATIONSHIPS = 1_000_000;
/** Instances of objects, components within components multiplied out. */
const MAX_INSTANCES = 1_000_000;
const MAX_DEPTH = 100;
const MODEL_TYPE = "http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel";

/**
 * Reads what a 3MF file's build puts on the plate: objects of objects with their transforms, the production
 * extension's further parts included; support structures are left out. The result is in mm.
 *
 * @throws {ModelFault}
 */
export async function readThreeMf(fd: number): Promise<Mesh> {
  const archive = await Archive.open(fd);
  const root = archive.startPart();
  const parts = new Map<string, ModelPart>();
  const load = async (name: string): Promise<void> => {
    const part = await archive.read(name);
    parts.set(name, part);
    for (const { path } of part.references()) {
      if (path === undefined || parts.has(path)) continue;
      if (parts.size === MAX_PARTS) throw new ModelFault(`more than ${MAX_PARTS} model parts`);
      await load(path);
    }
  };
  await load(await root);
  return new Assembly(parts, await root).build();
}

class Archive {
  readonly #zip: ZipFile;
  readonly #entries: ReadonlyMap<string, Entry>;
  #inflated = 0;

  private constructor(zip: ZipFile, entries: ReadonlyMap<string, Entry>) {
    this.#zip = zip;
    this.#entries = entries;
  }

  static async open(fd: number): Promise<Archive> {
    try {
      const zip = await fromFdPromise(fd, { autoClose: false, lazyEntries: true });
      if (zip.entryCount > MAX_ENTRIES) {
        throw new ModelFault(`more than ${MAX_ENTRIES} files in the archive`);
      }
      const entries = new Map<string, Entry>();
      // Names are compared without regard to case, as the packaging standard says.
      for await (const entry of zip.eachEntry()) {
        entries.set(`/${entry.fileName}`.toLowerCase(), entry);
      }
      return new Archive(zip, entries);
    } catch (error) {
      throw faultOf(error, "not a 3MF archive");
    }
  }

  /** The part that the package's relationships name, or the usual one. */
  async startPart(): Promise<string> {
    const usual = "/3D/3dmodel.model";
    const relationships = this.#entries.get("/_rels/.rels");
    if (relationships === undefined) return usual;
    let text = "";
    for await (const chunk of this.#inflate(relationships, MAX_RELATIONSHIPS)) {
      text += chunk.toString("latin1");
    }
    for (const [tag] of text.matchAll(/<Relationship\s[^>]{0,4096}>/g)) {
      const attribute = (name: string) =>
        new RegExp(`\\s${name}\\s*=\\s*["']([^"']*)["']`).exec(tag)?.[1];
      const target = attribute("Target");
      if (attribute("Type") === MODEL_TYPE && target !== undefined) {
        return target.startsWith("/") ? target : `/${target}`;
      }
    }
    return usual;
  }

  async read(name: string): Promise<ModelPart> {
    const entry = this.#entries.get(name.toLowerCase());
    if (entry === undefined) throw new ModelFault(`the archive has no ${JSON.stringify(name)}`);
    try {
      return await readModelPart(this.#inflate(entry, MAX_INFLATED));
    } catch (error) {
      throw faultOf(error, name);
    }
  }

  /** Bounded by what the entry claims, and by the bytes that really come. */
  async *#inflate(entry: Entry, most: number): AsyncGenerator<Buffer> {
    const refuse = (bytes: number): void => {
      if (bytes > most || this.#inflated + bytes > MAX_INFLATED) {
        throw new ModelFault(`${entry.fileName}: more than ${most} bytes when inflated`);
      }
    };
    refuse(entry.uncompressedSize);
    let bytes = 0;
    // yauzl ends the stream with an error where it differs from the size claimed.
    for await (const chunk of await this.#zip.openReadStreamPromise(entry)) {
      bytes += (chunk as Buffer).length;
      refuse(bytes);
      yield chunk as Buffer;
    }
    this.#inflated += bytes;
  }
}

/** Errors of the archive are the file's; any other is our own. */
function faultOf(error: unknown, where: string): unknown {
  if (error instanceof ModelFault) return new ModelFault(`${where}: ${error.message}`);
  if (!(error instanceof Error)) return error;
  const ours = error instanceof TypeError || error instanceof RangeError;
  return ours ? error : new ModelFault(`${where}: ${error.message}`);
}

const IDENTITY: Transform = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];

/** Row vectors: first by `one`, then by `other`. */
function combined(one: Transform, other: Transform): Transform {
  const result = Array.from({ length: 12 }, (_, i) => {
    const row = Math.floor(i / 3);
    const column = i % 3;
    let sum = row === 3 ? (other[9 + column] as number) : 0;
    for (let k = 0; k < 3; k++) {
      sum += (one[3 * row + k] as number) * (other[3 * k + column] as number);
    }
    return sum;
  });
  return result;
}

function determinant(t: Transform): number {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0] = t;
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}

/** Translations in mm. */
function inMillimetres(transform: Transform, unit: number): Transform {
  return transform.map((value, i) => (i < 9 ? value : value * unit));
}

interface Weight {
  readonly triangles: number;
  readonly instances: number;
}

class Assembly {
  readonly #parts: ReadonlyMap<string, ModelPart>;
  readonly #root: string;
  readonly #weights = new Map<string, Weight>();
  readonly #mesh: MeshBuilder;

  constructor(parts: ReadonlyMap<string, ModelPart>, root: string) {
    this.#parts = parts;
    this.#root = root;
    const weight = this.#sum(this.#part(root).items, root, []);
    if (weight.triangles > MAX_TRIANGLES) throw tooManyTriangles();
    if (weight.instances > MAX_INSTANCES) {
      throw new ModelFault(`the build has more than ${MAX_INSTANCES} objects`);
    }
    this.#mesh = new MeshBuilder(weight.triangles);
  }

  build(): Mesh {
    const { items, unit } = this.#part(this.#root);
    for (const item of items) {
      this.#place(item, this.#root, inMillimetres(item.transform ?? IDENTITY, unit));
    }
    return this.#mesh.finish();
  }

  #part(name: string): ModelPart {
    const part = this.#parts.get(name);
    if (part === undefined) throw new ModelFault(`the archive has no ${JSON.stringify(name)}`);
    return part;
  }

  #object({ id, path }: Reference, from: string) {
    const name = path ?? from;
    const part = this.#part(name);
    const object = part.objects.get(id);
    if (object === undefined) throw new ModelFault(`${name}: there is no object ${id}`);
    return { name, part, object };
  }

  /** What the references come to when multiplied out, each object looked at once. */
  #sum(references: readonly Reference[], from: string, above: readonly string[]): Weight {
    let triangles = 0;
    let instances = 0;
    for (const reference of references) {
      const weight = this.#weigh(reference, from, above);
      triangles += weight.triangles;
      instances += weight.instances;
    }
    return { triangles, instances };
  }

  #weigh(reference: Reference, from: string, above: readonly string[]): Weight {
    const { name, object } = this.#object(reference, from);
    const key = `${name}#${reference.id}`;
    const known = this.#weights.get(key);
    if (known !== undefined) return known;
    if (above.includes(key)) {
      throw new ModelFault(`${name}: object ${reference.id} contains itself`);
    }
    if (above.length === MAX_DEPTH) {
      throw new ModelFault(`${name}: objects nested more than ${MAX_DEPTH} deep`);
    }
    const inner = this.#sum(object.components, name, [...above, key]);
    const weight = object.isSupport
      ? { triangles: 0, instances: 1 }
      : {
          triangles: inner.triangles + object.triangles.length / 3,
          instances: inner.instances + 1,
        };
    this.#weights.set(key, weight);
    return weight;
  }

  #place(reference: Reference, from: string, transform: Transform): void {
    const { name, part, object } = this.#object(reference, from);
    if (object.isSupport) return;
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0, tx = 0, ty = 0, tz = 0] =
      transform;
    const { vertices, triangles } = object;
    this.#mesh.startBody();
    const placed = new Uint32Array(vertices.length / 3);
    for (let v = 0; v < placed.length; v++) {
      const x = (vertices[3 * v] as number) * part.unit;
      const y = (vertices[3 * v + 1] as number) * part.unit;
      const z = (vertices[3 * v + 2] as number) * part.unit;
      const [px, py, pz] = [
        x * a + y * d + z * g + tx,
        x * b + y * e + z * h + ty,
        x * c + y * f + z * i + tz,
      ] as const;
      if (!Number.isFinite(px + py + pz)) {
        throw new ModelFault(`${name}: object ${reference.id}: vertex ${v} is not finite`);
      }
      placed[v] = this.#mesh.vertex(px, py, pz);
    }
    // A mirror image is turned over.
    const [second, third] = determinant(transform) < 0 ? [2, 1] : [1, 2];
    for (let t = 0; t < triangles.length; t += 3) {
      this.#mesh.triangle(
        placed[triangles[t] as number] as number,
        placed[triangles[t + second] as number] as number,
        placed[triangles[t + third] as number] as number,
      );
    }
    for (const component of object.components) {
      const own = inMillimetres(component.transform ?? IDENTITY, part.unit);
      this.#place(component, name, combined(own, transform));
    }
  }
}
