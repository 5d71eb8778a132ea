import { crc32, deflateRawSync } from "node:zlib";

export type Point = readonly [number, number, number];
export type Triangle = readonly [Point, Point, Point];

/** Twelve triangles, outwards. */
export function box(min: Point, max: Point): Triangle[] {
  const corner = (i: number): Point => [
    i & 1 ? max[0] : min[0],
    i & 2 ? max[1] : min[1],
    i & 4 ? max[2] : min[2],
  ];
  const quads = [
    [0, 2, 3, 1],
    [4, 5, 7, 6],
    [0, 1, 5, 4],
    [2, 6, 7, 3],
    [0, 4, 6, 2],
    [1, 3, 7, 5],
  ] as const;
  return quads.flatMap(([a, b, c, d]): Triangle[] => [
    [corner(a), corner(b), corner(c)],
    [corner(a), corner(c), corner(d)],
  ]);
}

export function cube(size: number, at: Point = [0, 0, 0]): Triangle[] {
  return box(at, [at[0] + size, at[1] + size, at[2] + size]);
}

/** A grid over two angles, both closed, or from pole to pole where `point` lets rows shrink to points. */
function surface(n: number, m: number, point: (i: number, j: number) => Point): Triangle[] {
  const triangles: Triangle[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      const [a, b, c, d] = [
        point(i, j),
        point((i + 1) % n, j),
        point((i + 1) % n, j + 1),
        point(i, j + 1),
      ];
      triangles.push([a, b, c], [a, c, d]);
    }
  }
  return triangles;
}

export function torus(major: number, minor: number, n: number, m = n): Triangle[] {
  return surface(n, m, (i, j) => {
    const u = (2 * Math.PI * i) / n;
    const v = (2 * Math.PI * (j % m)) / m;
    const r = major + minor * Math.cos(v);
    return [r * Math.cos(u), r * Math.sin(u), minor * Math.sin(v)];
  });
}

/** Triangles that shrink to a line at the poles are left out. */
export function sphere(radius: number, n: number): Triangle[] {
  const triangles = surface(2 * n, n, (i, j) => {
    const u = (Math.PI * i) / n;
    const v = -Math.PI / 2 + (Math.PI * j) / n;
    const r = j === 0 || j === n ? 0 : radius * Math.cos(v);
    return [r * Math.cos(u), r * Math.sin(u), j === n ? radius : radius * Math.sin(v)];
  });
  const same = (a: Point, b: Point) => a.every((value, axis) => value === b[axis]);
  return triangles.filter(([a, b, c]) => !same(a, b) && !same(b, c) && !same(c, a));
}

export function flipped(triangles: readonly Triangle[]): Triangle[] {
  return triangles.map(([a, b, c]) => [a, c, b]);
}

export function moved(triangles: readonly Triangle[], by: Point): Triangle[] {
  return triangles.map((triangle) =>
    triangle.map((point) => point.map((value, axis) => value + by[axis]!)),
  ) as unknown as Triangle[];
}

export function binaryStl(triangles: readonly Triangle[], header = ""): Buffer {
  const file = Buffer.alloc(84 + 50 * triangles.length);
  file.write(header, 0, 80, "latin1");
  file.writeUInt32LE(triangles.length, 80);
  triangles.flat().forEach((point, i) => {
    const at = 84 + 50 * Math.floor(i / 3) + 12 + 12 * (i % 3);
    point.forEach((value, axis) => file.writeFloatLE(value, at + 4 * axis));
  });
  return file;
}

export function asciiStl(triangles: readonly Triangle[]): string {
  const facets = triangles.map(
    (points) =>
      `  facet normal 0 0 0\n    outer loop\n${points.map((point) => `      vertex ${point.join(" ")}\n`).join("")}    endloop\n  endfacet\n`,
  );
  return `solid test\n${facets.join("")}endsolid test\n`;
}

export function obj(triangles: readonly Triangle[]): string {
  const vertices = triangles.flat().map((point) => `v ${point.join(" ")}`);
  const faces = triangles.map((_, t) => `f ${3 * t + 1} ${3 * t + 2} ${3 * t + 3}`);
  return [...vertices, ...faces, ""].join("\n");
}

export function meshXml(triangles: readonly Triangle[]): string {
  const vertices = triangles.flat().map(([x, y, z]) => `<vertex x="${x}" y="${y}" z="${z}"/>`);
  const faces = triangles.map(
    (_, t) => `<triangle v1="${3 * t}" v2="${3 * t + 1}" v3="${3 * t + 2}"/>`,
  );
  return `<mesh><vertices>${vertices.join("")}</vertices><triangles>${faces.join("")}</triangles></mesh>`;
}

export function modelXml(body: string, unit = "millimeter"): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<model unit="${unit}" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02" xmlns:p="http://schemas.microsoft.com/3dmanufacturing/production/2015/06">\n${body}\n</model>`;
}

/** A 3MF archive of one model part. */
export function threeMf(body: string, unit?: string): Buffer {
  return zip({ "3D/3dmodel.model": modelXml(body, unit) });
}

/** @param claim - the inflated size that the archive tells, if it lies */
export function zip(files: Readonly<Record<string, string | Buffer>>, claim?: number): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of Object.entries(files)) {
    const content = Buffer.from(text);
    const packed = deflateRawSync(content);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(8, 4);
    fields.writeUInt32LE(crc32(content), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(claim ?? content.length, 18);
    fields.writeUInt16LE(name.length, 22);
    parts.push(Buffer.from("PK\x03\x04"), fields, Buffer.from(name), packed);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.from("PK\x01\x02\x14\x00"), fields, rest, Buffer.from(name));
    offset += 30 + name.length + packed.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(Object.keys(files).length, 8);
  end.writeUInt16LE(Object.keys(files).length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, ...directory, end]);
}
