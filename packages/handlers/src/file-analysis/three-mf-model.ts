import sax, { type Tag } from "sax";
import { decimal, quoted } from "./lines.ts";
import {
  MAX_TRIANGLES,
  MAX_VERTICES,
  ModelFault,
  tooManyTriangles,
  tooManyVertices,
} from "./mesh.ts";

const MAX_OBJECTS = 1_000_000;
const MAX_DEPTH = 100;

/** Four rows of three: axes and translation, applied to row vectors. */
export type Transform = readonly number[];

export interface Reference {
  readonly id: string;
  /** Another part of the archive. */
  readonly path: string | undefined;
  readonly transform: Transform | undefined;
}

export interface ModelObject {
  /** In the part's unit. */
  readonly vertices: Float64Array;
  readonly triangles: Uint32Array;
  readonly components: readonly Reference[];
  readonly isSupport: boolean;
}

export interface ModelPart {
  /** mm */
  readonly unit: number;
  readonly objects: ReadonlyMap<string, ModelObject>;
  readonly items: readonly Reference[];
  references(): Iterable<Reference>;
}

const units: Readonly<Record<string, number>> = {
  micron: 0.001,
  millimeter: 1,
  centimeter: 10,
  inch: 25.4,
  foot: 304.8,
  meter: 1000,
};

/**
 * Reads a 3MF model part as it comes. Document type declarations, which the format forbids, are refused, so that
 * there are no entities to expand.
 *
 * @throws {ModelFault} with the line
 */
export async function readModelPart(chunks: AsyncIterable<Buffer>): Promise<ModelPart> {
  const reader = new ModelReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of chunks) reader.write(decoder.decode(chunk, { stream: true }));
    reader.write(decoder.decode());
  } catch (error) {
    const isEncoding =
      error instanceof TypeError &&
      (error as NodeJS.ErrnoException).code === "ERR_ENCODING_INVALID_ENCODED_DATA";
    if (isEncoding) throw new ModelFault("not UTF-8 text");
    throw error;
  }
  return reader.finish();
}

class ModelReader {
  readonly #xml = sax.parser(true, { position: true });
  readonly #objects = new Map<string, ModelObject>();
  readonly #items: Reference[] = [];
  #unit: number | undefined;
  #depth = 0;
  #object: { id: string; isSupport: boolean; components: Reference[] } | undefined;
  readonly #vertices = new Numbers(Float64Array);
  readonly #triangles = new Numbers(Uint32Array);
  #vertexCount = 0;
  #triangleCount = 0;

  constructor() {
    const xml = this.#xml;
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- no event target
    xml.onerror = (error) => {
      throw new ModelFault(error.message.split("\n").slice(0, 2).join(", "));
    };
    xml.ondoctype = () => {
      throw this.#fault("a document type declaration, which 3MF forbids");
    };
    xml.onopentag = (tag) => this.#open(tag as Tag);
    xml.onclosetag = (name) => {
      this.#depth--;
      if (localName(name) === "object") this.#endObject();
    };
  }

  write(text: string): void {
    this.#xml.write(text);
  }

  finish(): ModelPart {
    this.#xml.close();
    if (this.#unit === undefined) throw new ModelFault("not a 3MF model: no <model> element");
    const objects = this.#objects;
    const items = this.#items;
    return {
      unit: this.#unit,
      objects,
      items,
      *references() {
        yield* items;
        for (const { components } of objects.values()) yield* components;
      },
    };
  }

  #open({ name, attributes }: Tag): void {
    if (++this.#depth > MAX_DEPTH) throw this.#fault(`elements nested more than ${MAX_DEPTH} deep`);
    switch (localName(name)) {
      case "model":
        this.#unit = units[attributes["unit"] ?? "millimeter"];
        if (this.#unit === undefined) {
          throw this.#fault(`${quoted(attributes["unit"])} is no unit of 3MF`);
        }
        break;
      case "object":
        this.#startObject(attributes);
        break;
      case "vertex": {
        if (++this.#vertexCount > MAX_VERTICES) throw tooManyVertices();
        const place = `line ${this.#line}`;
        this.#vertices.push(
          decimal(attributes["x"], `${place}: x`),
          decimal(attributes["y"], `${place}: y`),
          decimal(attributes["z"], `${place}: z`),
        );
        break;
      }
      case "triangle": {
        if (++this.#triangleCount > MAX_TRIANGLES) throw tooManyTriangles();
        this.#triangles.push(
          this.#vertexOf(attributes, "v1"),
          this.#vertexOf(attributes, "v2"),
          this.#vertexOf(attributes, "v3"),
        );
        break;
      }
      case "component":
        if (this.#object === undefined) throw this.#fault("a component outside an object");
        this.#object.components.push(this.#reference(attributes));
        this.#bound(this.#object.components);
        break;
      case "item":
        this.#items.push(this.#reference(attributes));
        this.#bound(this.#items);
        break;
      default:
    }
  }

  #startObject({ id, type }: Tag["attributes"]): void {
    if (this.#object !== undefined) throw this.#fault("an object within an object");
    if (id === undefined || this.#objects.has(id)) {
      throw this.#fault(
        id === undefined ? "an object without id" : `object ${quoted(id)} is there twice`,
      );
    }
    if (this.#objects.size === MAX_OBJECTS) throw this.#fault(`more than ${MAX_OBJECTS} objects`);
    const isSupport = type === "support" || type === "solidsupport" || type === "other";
    this.#object = { id, isSupport, components: [] };
  }

  #endObject(): void {
    if (this.#object === undefined) return;
    const { id, isSupport, components } = this.#object;
    const vertices = this.#vertices.take();
    const triangles = this.#triangles.take();
    const count = vertices.length / 3;
    const wrong = triangles.findIndex((vertex) => vertex >= count);
    if (wrong !== -1) {
      const triangle = Math.floor(wrong / 3) + 1;
      throw this.#fault(
        `object ${quoted(id)}, triangle ${triangle}: vertex ${triangles[wrong]} of ${count}`,
      );
    }
    this.#objects.set(id, { vertices, triangles, components, isSupport });
    this.#object = undefined;
  }

  #vertexOf(attributes: Tag["attributes"], name: string): number {
    const text = attributes[name];
    if (text === undefined || !/^\d{1,9}$/.test(text)) {
      throw this.#fault(`${name}: ${quoted(text)} is no vertex`);
    }
    return Number(text);
  }

  #reference(attributes: Tag["attributes"]): Reference {
    const id = attributes["objectid"];
    if (id === undefined) throw this.#fault("a reference without objectid");
    // The production extension's attribute, whatever its prefix.
    const pathName = Object.keys(attributes).find((name) => name.endsWith(":path"));
    const path = pathName === undefined ? undefined : attributes[pathName];
    const numbers = attributes["transform"]?.trim().split(/\s+/, 13);
    if (numbers !== undefined && numbers.length !== 12) {
      throw this.#fault("transform: must have 12 numbers");
    }
    const transform = numbers?.map((text) => decimal(text, `line ${this.#line}: transform`));
    return { id, path, transform };
  }

  #bound(references: readonly Reference[]): void {
    if (references.length > MAX_OBJECTS) throw this.#fault(`more than ${MAX_OBJECTS} references`);
  }

  get #line(): number {
    return this.#xml.line + 1;
  }

  #fault(message: string): ModelFault {
    return new ModelFault(`line ${this.#line}: ${message}`);
  }
}

/** Without its namespace's prefix. */
function localName(name: string): string {
  return name.slice(name.indexOf(":") + 1);
}

/** A typed array that grows. */
class Numbers<Kind extends Float64Array<ArrayBuffer> | Uint32Array<ArrayBuffer>> {
  readonly #kind: new (length: number) => Kind;
  #values: Kind;
  #length = 0;

  constructor(kind: new (length: number) => Kind) {
    this.#kind = kind;
    this.#values = new kind(0);
  }

  push(one: number, two: number, three: number): void {
    if (this.#length + 3 > this.#values.length) {
      const larger = new this.#kind(Math.max(3 * 64, 2 * this.#values.length));
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = one;
    this.#values[this.#length++] = two;
    this.#values[this.#length++] = three;
  }

  /** What was pushed since it was last taken. */
  take(): Kind {
    const values = this.#values.slice(0, this.#length) as Kind;
    this.#values = new this.#kind(0);
    this.#length = 0;
    return values;
  }
}
