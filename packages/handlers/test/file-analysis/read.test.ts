import { mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { analyseFile, type FileType } from "../../src/file-analysis/analyse.ts";
import type { Geometry } from "../../src/file-analysis/geometry.ts";
import { ModelFault } from "../../src/file-analysis/mesh.ts";
import { MAX_STEP_BYTES } from "../../src/file-analysis/step.ts";
import * as shapes from "./shapes.ts";
import { cubeStep } from "./step-files.ts";

let folder = "";
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), "models-"))));
afterAll(() => rm(folder, { recursive: true }));

async function read(type: FileType, content: string | Buffer): Promise<Geometry> {
  const path = join(folder, `model.${type}`);
  await writeFile(path, content);
  return readFrom(type, path);
}

async function readFrom(type: FileType, path: string): Promise<Geometry> {
  const options = { performDfm: false, detectFeatures: false };
  return (await analyseFile(path, type, options, () => undefined)).geometry;
}

async function expectFault(type: FileType, content: string | Buffer, message: string | RegExp) {
  const error = await read(type, content).then(
    () => null,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(ModelFault);
  if (typeof message === "string") expect((error as Error).message).toBe(message);
  else expect((error as Error).message).toMatch(message);
}

const cube = shapes.cube(10);
const ofCube = { volume: expect.closeTo(1000, 6), triangles: 12, watertight: true, shells: 1 };

describe("STL", () => {
  test("binary", async () => {
    expect(await read("stl", shapes.binaryStl(cube))).toMatchObject(ofCube);
  });

  test("binary with a header that says solid", async () => {
    expect(await read("stl", shapes.binaryStl(cube, "solid part\nfacet normal"))).toMatchObject(
      ofCube,
    );
  });

  test("binary, padded", async () => {
    const padded = Buffer.concat([shapes.binaryStl(cube), Buffer.alloc(16)]);
    expect(await read("stl", padded)).toMatchObject(ofCube);
  });

  test("ASCII, in any case, with any line ends and several solids", async () => {
    const text = shapes.asciiStl(cube);
    expect(await read("stl", text)).toMatchObject(ofCube);
    expect(await read("stl", text.toUpperCase().replaceAll("\n", "\r\n"))).toMatchObject(ofCube);
    const two = text + shapes.asciiStl(shapes.cube(5, [20, 0, 0]));
    expect(await read("stl", two)).toMatchObject({ volume: expect.closeTo(1125, 6), shells: 2 });
  });

  test("headers that lie", async () => {
    const claims = (count: number) => {
      const file = shapes.binaryStl(cube);
      file.writeUInt32LE(count, 80);
      return file;
    };
    await expectFault(
      "stl",
      claims(1_000_000_000),
      "header, bytes 80 to 83: claims 1000000000 triangles, 50000000084 bytes in all, but the file has 684 bytes",
    );
    await expectFault("stl", claims(4_294_967_295), /claims 4294967295 triangles/);
    await expectFault("stl", claims(13), /claims 13 triangles, 734 bytes in all/);
    await expectFault("stl", claims(11), /claims 11 triangles/);
    await expectFault("stl", claims(0), /claims 0 triangles/);
  });

  test("10^9 triangles that are really there, as far as the file system tells", async () => {
    const path = join(folder, "sparse.stl");
    const header = Buffer.alloc(84);
    header.writeUInt32LE(1_000_000_000, 80);
    await writeFile(path, header);
    await truncate(path, 84 + 50 * 1_000_000_000);
    await expect(readFrom("stl", path)).rejects.toThrow("more than 5,000,000 triangles");
    await rm(path);
  });

  test("numbers that are none", async () => {
    const file = shapes.binaryStl(cube);
    file.writeFloatLE(Number.NaN, 84 + 50 * 4 + 12 + 12);
    await expectFault("stl", file, /^triangle 5, corner 2: \(NaN, \d+, \d+\) is not finite$/);
    file.writeFloatLE(Number.NEGATIVE_INFINITY, 84 + 50 * 4 + 12 + 12);
    await expectFault("stl", file, /^triangle 5, corner 2: \(-Infinity/);
    const text = shapes.asciiStl(cube);
    await expectFault(
      "stl",
      text.replace("vertex 10 ", "vertex nan "),
      /^line 6: "nan" is not a finite number$/,
    );
    await expectFault("stl", text.replace("vertex 10 ", "vertex 1e999 "), /^line 6: "1e999"/);
    await expectFault("stl", text.replace("vertex 10 ", "vertex 0x10 "), /^line 6: "0x10"/);
    await expectFault("stl", text.replace("vertex 10 ", "vertex "), /^line 6: nothing is not/);
  });

  test("text that is no STL", async () => {
    await expectFault("stl", "", "the file is empty");
    await expectFault("stl", "hello", /^neither ASCII STL, .*, nor binary STL/);
    await expectFault("stl", "solid empty\nendsolid\n", "no surface: the file has no triangles");
    await expectFault("stl", "solid a\nwhat is this\n", 'line 2: "what" is no STL keyword');
    await expectFault(
      "stl",
      `solid a\nfacet\n${"vertex 0 0 0\n".repeat(4)}`,
      /^line 6: a vertex beyond/,
    );
    await expectFault(
      "stl",
      "solid a\nfacet\nvertex 1 2 3\nendfacet\n",
      "line 4: a facet of 1 vertices, not 3",
    );
    await expectFault(
      "stl",
      shapes.asciiStl(cube).slice(0, 500),
      /the file ends within a solid|is no STL keyword|not a finite/,
    );
    await expectFault(
      "stl",
      `solid a\n${" ".repeat(5_000_000)}`,
      "line 2: longer than 65,536 bytes",
    );
    await expectFault("stl", `solid ${"a".repeat(5_000_000)}`, "line 1: longer than 65,536 bytes");
    await expectFault(
      "stl",
      Buffer.alloc(1000, 0xff),
      /^header, bytes 80 to 83: claims 4294967295/,
    );
  });
});

describe("OBJ", () => {
  test("triangles, quads, polygons, negative and qualified indices", async () => {
    expect(await read("obj", shapes.obj(cube))).toMatchObject(ofCube);
    const quads = `# a cube of quads
mtllib none.mtl
o cube
v 0 0 0
v 10 0 0 1.0
v 10 10 0
v 0 10 0
v 0 0 10
v 10 0 10
v 10 10 10
v 0 10 10
vt 0 0
vn 0 0 1
s off
f 4 3 2 1
f 5/1/1 6/1/1 7/1/1 8/1/1
f -8//1 -7//1 -3//1 -4//1
f 2/1 3/1 \\
  7/1 6/1
f 3 4 8 7
f 4 1 5 8
`;
    expect(await read("obj", quads)).toMatchObject(ofCube);
    expect(await read("obj", quads.replaceAll("\n", "\r\n"))).toMatchObject(ofCube);
  });

  test("a concave polygon keeps its area", async () => {
    // An L of 3 squares, extruded by 1.
    const rim = [
      [0, 0],
      [2, 0],
      [2, 1],
      [1, 1],
      [1, 2],
      [0, 2],
    ] as const;
    const lines = [0, 1].flatMap((z) => rim.map(([x, y]) => `v ${x} ${y} ${z}`));
    lines.push("f 6 5 4 3 2 1", "f 7 8 9 10 11 12");
    for (let i = 0; i < 6; i++) {
      const next = (i + 1) % 6;
      lines.push(`f ${i + 1} ${next + 1} ${next + 7} ${i + 7}`);
    }
    expect(await read("obj", lines.join("\n"))).toMatchObject({
      volume: expect.closeTo(3, 9),
      surfaceArea: expect.closeTo(3 + 3 + 8, 9),
      watertight: true,
      manifold: true,
    });
  });

  test("faults name their line", async () => {
    await expectFault("obj", "v 0 0\n", "line 1: nothing is not a finite number");
    await expectFault(
      "obj",
      "v 0 0 0\nv 1 0 Infinity\n",
      'line 2: "Infinity" is not a finite number',
    );
    await expectFault(
      "obj",
      "v 0 0 0\nf 1 2 3\n",
      'line 2: "2" names no vertex; there are 1 so far',
    );
    await expectFault(
      "obj",
      "v 0 0 0\nf 1 1 0\n",
      'line 2: "0" names no vertex; there are 1 so far',
    );
    await expectFault("obj", "v 0 0 0\nf 1 1 x\n", /^line 2: "x" names no vertex/);
    await expectFault("obj", "v 0 0 0\nf 1 1\n", "line 2: a face of 2 corners");
    await expectFault(
      "obj",
      `v 0 0 0\nf ${"1 ".repeat(2000)}`,
      "line 2: a face of more than 1000 corners",
    );
    await expectFault("obj", "\u0000\u0001\u0002", /^line 1: .* is no OBJ keyword$/);
    await expectFault("obj", "v 0 0 0\n", "no surface: the file has no triangles");
    await expectFault("obj", "v 0 0 0\\\n".repeat(50_000), "line 1: continued without end");
    await expectFault("obj", `v ${"1".repeat(5_000_000)}`, "line 1: longer than 65,536 bytes");
  });
});

const object = (id: number, triangles: readonly shapes.Triangle[], more = "") =>
  `<object id="${id}" ${more}>${shapes.meshXml(triangles)}</object>`;
const build = (items: string) => `<build>${items}</build>`;
const model = (objects: string, items: string) =>
  `<resources>${objects}</resources>${build(items)}`;

describe("3MF", () => {
  test("an object, in each unit", async () => {
    const body = model(object(1, cube), '<item objectid="1"/>');
    expect(await read("3mf", shapes.threeMf(body))).toMatchObject(ofCube);
    const units = {
      micron: 1e-6,
      centimeter: 1e6,
      inch: 25.4 ** 3 * 1000,
      foot: 304.8 ** 3 * 1000,
      meter: 1e12,
    };
    for (const [unit, volume] of Object.entries(units)) {
      const geometry = await read("3mf", shapes.threeMf(body, unit));
      expect(geometry.volume! / volume).toBeCloseTo(1, 9);
    }
    await expectFault(
      "3mf",
      shapes.threeMf(body, "furlong"),
      /line 2: "furlong" is no unit of 3MF/,
    );
  });

  test("components with transforms, a mirror image among them", async () => {
    const inside = `<object id="2"><components>
      <component objectid="1"/>
      <component objectid="1" transform="2 0 0 0 2 0 0 0 2 100 0 0"/>
      <component objectid="1" transform="-1 0 0 0 1 0 0 0 1 -50 0 0"/>
    </components></object>`;
    const items = '<item objectid="2" transform="1 0 0 0 1 0 0 0 1 0 0 7"/>';
    const body = model(object(1, cube) + inside, items);
    expect(await read("3mf", shapes.threeMf(body))).toMatchObject({
      volume: expect.closeTo(1000 + 8000 + 1000, 6),
      boundingBox: { min: [-60, 0, 7], max: [120, 20, 27] },
      shells: 3,
      defects: { invertedShells: 0, flippedTriangles: 0 },
    });
  });

  test("rotations apply to rows: inner first, then outer", async () => {
    // A quarter turn about z: x becomes y.
    const turned =
      '<object id="2"><components><component objectid="1" transform="0 1 0 -1 0 0 0 0 1 0 0 0"/></components></object>';
    const items = '<item objectid="2" transform="1 0 0 0 1 0 0 0 1 100 0 0"/>';
    const bar = shapes.box([0, 0, 0], [10, 2, 1]);
    expect(await read("3mf", shapes.threeMf(model(object(1, bar) + turned, items)))).toMatchObject({
      boundingBox: { min: [98, 0, 0], max: [100, 10, 1] },
    });
  });

  test("objects that touch stay two, also a hundred in one place", async () => {
    const objects = object(1, cube) + object(2, shapes.cube(10, [10, 0, 0]));
    const touching = model(objects, '<item objectid="1"/><item objectid="2"/>');
    expect(await read("3mf", shapes.threeMf(touching))).toMatchObject({
      volume: expect.closeTo(2000, 6),
      shells: 2,
      manifold: true,
    });
    const stacked = model(object(1, cube), '<item objectid="1"/>'.repeat(100));
    expect(await read("3mf", shapes.threeMf(stacked))).toMatchObject({ shells: 100 });
  });

  test("what the build leaves out, and supports, are left out", async () => {
    const objects =
      object(1, cube) +
      object(2, shapes.cube(5)) +
      object(3, shapes.cube(3, [50, 0, 0]), 'type="support"');
    const body = model(objects, '<item objectid="1"/><item objectid="3"/>');
    expect(await read("3mf", shapes.threeMf(body))).toMatchObject(ofCube);
  });

  test("parts of the production extension, and a start part of another name", async () => {
    const files = {
      "_rels/.rels": `<Relationships><Relationship Target="/3D/Main.model" Id="a" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>`,
      "3D/main.model": shapes.modelXml(
        '<resources><object id="1"><components><component p:path="/3D/Objects/a.model" objectid="7"/></components></object></resources><build><item objectid="1"/></build>',
      ),
      "3D/Objects/a.model": shapes.modelXml(model(object(7, shapes.cube(1)), ""), "centimeter"),
    };
    expect(await read("3mf", shapes.zip(files))).toMatchObject(ofCube);
  });

  test("references that lead nowhere, to themselves, or to too much", async () => {
    const item = '<item objectid="1"/>';
    await expectFault(
      "3mf",
      shapes.threeMf(model("", item)),
      "/3D/3dmodel.model: there is no object 1",
    );
    const holds = (id: number, inner: number, times = 1) =>
      `<object id="${id}"><components>${`<component objectid="${inner}"/>`.repeat(times)}</components></object>`;
    await expectFault(
      "3mf",
      shapes.threeMf(model(holds(1, 2) + holds(2, 1), item)),
      /object 1 contains itself$/,
    );
    const levels = Array.from({ length: 12 }, (_, i) => holds(i + 1, i + 2, 10)).join("");
    await expectFault(
      "3mf",
      shapes.threeMf(model(levels + object(13, cube), item)),
      "more than 5,000,000 triangles, the most that is analysed",
    );
    await expectFault(
      "3mf",
      shapes.threeMf(model(levels + '<object id="13"/>', item)),
      "the build has more than 1000000 objects",
    );
    const elsewhere = '<item objectid="1" p:path="/../../etc/passwd"/>';
    await expectFault(
      "3mf",
      shapes.threeMf(model("", elsewhere)),
      'the archive has no "/../../etc/passwd"',
    );
  });

  test("XML that is wrong names its line", async () => {
    const faulty = (from: string, to: string) =>
      shapes.threeMf(model(object(1, cube), '<item objectid="1"/>').replace(from, to));
    await expectFault(
      "3mf",
      faulty('x="0"', 'x="NaN"'),
      '/3D/3dmodel.model: line 3: x: "NaN" is not a finite number',
    );
    await expectFault(
      "3mf",
      faulty('v1="0"', 'v1="99"'),
      /line 3: object "1", triangle 1: vertex 99 of 36$/,
    );
    await expectFault("3mf", faulty('v1="0"', 'v1="-1"'), /line 3: v1: "-1" is no vertex$/);
    await expectFault("3mf", faulty("</vertices>", ""), /Unexpected close tag, Line: 2$/);
    await expectFault(
      "3mf",
      faulty('objectid="1"', 'objectid="1" transform="1 2 3"'),
      /transform: must have 12 numbers$/,
    );
    await expectFault(
      "3mf",
      shapes.zip({ "3D/3dmodel.model": "<html></html>" }),
      /not a 3MF model: no <model> element$/,
    );
    await expectFault(
      "3mf",
      shapes.zip({ "3D/3dmodel.model": Buffer.from([0x3c, 0xff, 0xfe]) }),
      /: not UTF-8 text$/,
    );
    await expectFault("3mf", shapes.zip({ "3D/3dmodel.model": "" }), /no <model> element$/);
    await expectFault(
      "3mf",
      shapes.zip({ "readme.txt": "" }),
      'the archive has no "/3D/3dmodel.model"',
    );
  });

  test("entity bombs", async () => {
    const bomb = `<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><model unit="&b;"/>`;
    await expectFault(
      "3mf",
      shapes.zip({ "3D/3dmodel.model": bomb }),
      /a document type declaration, which 3MF forbids$/,
    );
    await expectFault(
      "3mf",
      shapes.zip({ "3D/3dmodel.model": '<model unit="&b;"/>' }),
      /Invalid character entity/,
    );
    await expectFault(
      "3mf",
      shapes.zip({ "3D/3dmodel.model": `<model unit="${"a".repeat(1_000_000)}"/>` }),
      /Max buffer length exceeded/,
    );
    await expectFault(
      "3mf",
      shapes.zip({ "3D/3dmodel.model": `<model>${"<a>".repeat(1000)}` }),
      /elements nested more than 100 deep$/,
    );
  });

  test("zip bombs, by what they claim and by what comes", async () => {
    const zeros = Buffer.alloc(50_000_000);
    await expectFault(
      "3mf",
      shapes.zip({ "3D/3dmodel.model": zeros }, 2_000_000_000),
      /more than 1000000000 bytes when inflated$/,
    );
    await expectFault(
      "3mf",
      shapes.zip(
        {
          "3D/3dmodel.model": Buffer.concat([Buffer.from("<model>"), Buffer.alloc(50_000_000, 32)]),
        },
        100,
      ),
      /too many bytes in the stream/,
    );
    await expectFault("3mf", "PK\u0003\u0004 garbage", /^not a 3MF archive: /);
    const whole = shapes.threeMf(model(object(1, cube), '<item objectid="1"/>'));
    await expectFault("3mf", whole.subarray(0, whole.length / 2), /^not a 3MF archive: /);
    const damaged = Buffer.from(whole);
    damaged.fill(0x5a, 60, 400);
    await expectFault("3mf", damaged, /^\/3D\/3dmodel\.model: /);
  });
});

describe("STEP", () => {
  test("a cube, in millimetres and in inches", async () => {
    expect(await read("step", cubeStep(10))).toMatchObject(ofCube);
    expect(await read("step", cubeStep(10, "inch"))).toMatchObject({
      volume: expect.closeTo(1000 * 25.4 ** 3, 3),
    });
  });

  test("garbage", async () => {
    await expectFault("step", "", "the file is empty");
    await expectFault(
      "step",
      "garbage",
      "line 1: not a STEP file, which begins with ISO-10303-21;",
    );
    await expectFault("step", cubeStep(10).slice(0, 3000), /^the file is cut off/);
    const broken = cubeStep(10).replaceAll("CARTESIAN_POINT", "CARTESIAN_PIONT");
    await expectFault(
      "step",
      broken,
      /^(?:OpenCascade finds no STEP model in it|the STEP model has no solids)/,
    );
    await expectFault(
      "step",
      "ISO-10303-21;\nHEADER;\nENDSEC;\nDATA;\nENDSEC;\nEND-ISO-10303-21;\n",
      /OpenCascade finds no STEP model|no solids/,
    );
    const noise = Buffer.concat([
      Buffer.from("ISO-10303-21;"),
      Buffer.from(Array.from({ length: 50_000 }, (_, i) => (i * 7919) % 256)),
      Buffer.from("END-ISO-10303-21;"),
    ]);
    await expectFault("step", noise, /OpenCascade/);
  });

  test("a file beyond the limit is not even read", async () => {
    const path = join(folder, "large.step");
    await writeFile(path, "ISO-10303-21;");
    await truncate(path, MAX_STEP_BYTES + 1);
    await expect(readFrom("step", path)).rejects.toThrow(`at most ${MAX_STEP_BYTES} of STEP`);
  });

  test("OpenCascade's memory has an end", async () => {
    const { limitMemory } = await import("../../src/file-analysis/step.ts");
    const limit = limitMemory(2_000_000);
    const { Memory } = (
      globalThis as unknown as {
        WebAssembly: { Memory: new (options: object) => { grow(pages: number): number } };
      }
    ).WebAssembly;
    const memory = new Memory({ initial: 1 });
    expect(memory.grow(1)).toBe(1);
    expect(limit.reached).toBe(false);
    expect(() => memory.grow(100)).toThrow(RangeError);
    expect(limit.reached).toBe(true);
    limit.lift();
    expect(memory.grow(100)).toBe(2);
  });
});

test("files that cannot be opened are not the model's fault", async () => {
  await expect(readFrom("stl", join(folder, "none.stl"))).rejects.toMatchObject({ code: "ENOENT" });
  const handle = await open(join(folder, "is.stl"), "w");
  await handle.close();
});
