import { describe, expect, test } from "vitest";
import { Bvh } from "../../src/file-analysis/bvh.ts";
import { examine } from "../../src/file-analysis/dfm.ts";
import { complexityOf, featuresOf } from "../../src/file-analysis/features.ts";
import { measure, middleOf } from "../../src/file-analysis/geometry.ts";
import { MeshBuilder } from "../../src/file-analysis/mesh.ts";
import { Triangles } from "../../src/file-analysis/triangles.ts";
import { box, cube, flipped, moved, type Point, sphere, torus, type Triangle } from "./shapes.ts";

function measured(triangles: readonly Triangle[]) {
  const mesh = new MeshBuilder();
  for (const corners of triangles) {
    const [a, b, c] = corners.map((point) => mesh.vertex(...point));
    mesh.triangle(a!, b!, c!);
  }
  return measure(mesh.finish());
}

const geometryOf = (triangles: readonly Triangle[]) => measured(triangles).geometry;

function examined(triangles: readonly Triangle[]) {
  const part = measured(triangles);
  const bvh = new Bvh(part.mesh, middleOf(part.geometry.boundingBox));
  const surface = new Triangles(part);
  return {
    ...examine(part, surface, bvh, { smallFeatures: true }, () => undefined),
    features: featuresOf(part, surface),
  };
}

/** Within 0.1 %. */
function expectNear(value: number | null, wanted: number): void {
  expect(Math.abs((value ?? Number.NaN) / wanted - 1)).toBeLessThan(0.001);
}

const noDefects = {
  openEdges: 0,
  nonManifoldEdges: 0,
  nonManifoldVertices: 0,
  flippedTriangles: 0,
  duplicateTriangles: 0,
  degenerateTriangles: 0,
  invertedShells: 0,
  nestedShells: 0,
};

describe("solids with known formulas", () => {
  test("a cube", () => {
    const geometry = geometryOf(cube(10, [100, -50, 3]));
    expect(geometry).toMatchObject({
      boundingBox: { min: [100, -50, 3], max: [110, -40, 13] },
      triangles: 12,
      vertices: 8,
      watertight: true,
      manifold: true,
      shells: 1,
      cavities: 0,
      throughHoles: 0,
      defects: noDefects,
    });
    expect(geometry.volume).toBeCloseTo(1000, 9);
    expect(geometry.surfaceArea).toBeCloseTo(600, 9);
    [105, -45, 8].forEach((value, axis) => expect(geometry.centroid?.[axis]).toBeCloseTo(value, 9));
  });

  test("a sphere", () => {
    const geometry = geometryOf(moved(sphere(7, 128), [5, 5, 5]));
    expectNear(geometry.volume, (4 / 3) * Math.PI * 7 ** 3);
    expectNear(geometry.surfaceArea, 4 * Math.PI * 7 ** 2);
    geometry.centroid?.forEach((value) => expect(value).toBeCloseTo(5, 6));
    expect(geometry).toMatchObject({
      watertight: true,
      manifold: true,
      shells: 1,
      throughHoles: 0,
    });
  });

  test("a torus, with its hole", () => {
    const geometry = geometryOf(torus(20, 5, 200));
    expectNear(geometry.volume, 2 * Math.PI ** 2 * 20 * 25);
    expectNear(geometry.surfaceArea, 4 * Math.PI ** 2 * 20 * 5);
    expect(geometry).toMatchObject({
      watertight: true,
      manifold: true,
      shells: 1,
      throughHoles: 1,
    });
  });

  test("a hollow cube", () => {
    const geometry = geometryOf([...cube(10), ...flipped(cube(6, [1, 2, 3]))]);
    expect(geometry.volume).toBeCloseTo(1000 - 216, 9);
    expect(geometry).toMatchObject({ shells: 2, cavities: 1, defects: noDefects });
    // (1000 * 5 - 216 * 4) / 784 along x.
    expect(geometry.centroid?.[0]).toBeCloseTo((5000 - 216 * 4) / 784, 9);
  });

  test("two cubes apart, and one in a hollow one", () => {
    expect(geometryOf([...cube(10), ...cube(5, [20, 0, 0])])).toMatchObject({
      volume: expect.closeTo(1125, 9),
      shells: 2,
      cavities: 0,
    });
    const inner = [...cube(10), ...flipped(cube(8, [1, 1, 1])), ...cube(4, [3, 3, 3])];
    expect(geometryOf(inner)).toMatchObject({
      volume: expect.closeTo(1000 - 512 + 64, 9),
      shells: 3,
      cavities: 1,
      defects: noDefects,
    });
  });

  test("two cubes that share an edge are closed, but not manifold", () => {
    expect(geometryOf([...cube(10), ...cube(10, [10, 10, 0])])).toMatchObject({
      volume: expect.closeTo(2000, 9),
      watertight: true,
      manifold: false,
      defects: { nonManifoldEdges: 1, openEdges: 0 },
    });
  });

  test("two cubes that share a corner are not manifold either", () => {
    expect(geometryOf([...cube(10), ...cube(10, [10, 10, 10])])).toMatchObject({
      volume: expect.closeTo(2000, 9),
      manifold: false,
      shells: 2,
      defects: { nonManifoldEdges: 0, nonManifoldVertices: 1 },
    });
  });
});

describe("broken meshes", () => {
  test("a hole: no volume", () => {
    expect(geometryOf(cube(10).slice(1))).toMatchObject({
      volume: null,
      centroid: null,
      watertight: false,
      manifold: true,
      defects: { ...noDefects, openEdges: 3 },
    });
  });

  test("flipped triangles are turned back", () => {
    const faces = cube(10);
    const broken = [...flipped(faces.slice(0, 3)), ...faces.slice(3)];
    expect(geometryOf(broken)).toMatchObject({
      volume: expect.closeTo(1000, 9),
      watertight: true,
      defects: { ...noDefects, flippedTriangles: 3 },
    });
  });

  test("a solid inside out", () => {
    expect(geometryOf(flipped(cube(10)))).toMatchObject({
      volume: expect.closeTo(1000, 9),
      defects: { ...noDefects, invertedShells: 1 },
    });
    expect(geometryOf([...flipped(cube(10)), ...flipped(cube(5, [20, 0, 0]))])).toMatchObject({
      volume: expect.closeTo(1125, 9),
      defects: { ...noDefects, invertedShells: 2 },
    });
  });

  test("a cavity some of whose triangles are flipped", () => {
    const inner = cube(6, [2, 2, 2]);
    const broken = [...cube(10), ...flipped(inner.slice(0, 5)), ...inner.slice(5)];
    expect(geometryOf(broken)).toMatchObject({
      volume: expect.closeTo(784, 9),
      cavities: 1,
      defects: { flippedTriangles: 5 },
    });
  });

  test("a solid within a solid adds nothing", () => {
    expect(geometryOf([...cube(10), ...cube(6, [2, 2, 2])])).toMatchObject({
      volume: expect.closeTo(1000, 9),
      cavities: 0,
      defects: { ...noDefects, nestedShells: 1 },
    });
  });

  test("duplicate triangles count once", () => {
    const faces = cube(10);
    const [first, second] = faces;
    // The same triangle from another corner on.
    const again: Triangle = [second![1], second![2], second![0]];
    expect(geometryOf([...faces, first!, again])).toMatchObject({
      volume: expect.closeTo(1000, 9),
      surfaceArea: expect.closeTo(600, 9),
      triangles: 12,
      manifold: true,
      defects: { ...noDefects, duplicateTriangles: 2 },
    });
  });

  test("degenerate triangles count not at all", () => {
    const [[a, b]] = cube(10) as [Triangle];
    expect(geometryOf([...cube(10), [a, b, b], [a, a, a]])).toMatchObject({
      volume: expect.closeTo(1000, 9),
      manifold: true,
      defects: { ...noDefects, degenerateTriangles: 2 },
    });
    expect(() => geometryOf([[a, b, b]])).toThrow("no surface: all 1 triangles are degenerate");
  });

  test("a fin at an edge: open and not manifold", () => {
    const fin: Triangle = [
      [0, 0, 0],
      [10, 0, 0],
      [5, -5, -5],
    ];
    expect(geometryOf([...cube(10), fin])).toMatchObject({
      volume: null,
      watertight: false,
      manifold: false,
      defects: { nonManifoldEdges: 1 },
    });
  });

  test("a Möbius strip has no volume", () => {
    const n = 40;
    const at = (i: number, side: number): Point => {
      const u = (2 * Math.PI * i) / n;
      const r = 10 + side * Math.cos(u / 2);
      return [r * Math.cos(u), r * Math.sin(u), side * Math.sin(u / 2)].map(
        (value) => Math.round(1e6 * value) / 1e6,
      ) as unknown as Point;
    };
    const strip = Array.from({ length: n }, (_, i): Triangle[] => {
      // The last joins the first the other way up.
      const [c, d] = i + 1 < n ? [at(i + 1, 1), at(i + 1, -1)] : [at(0, -1), at(0, 1)];
      return [
        [at(i, 1), at(i, -1), d],
        [at(i, 1), d, c],
      ];
    }).flat();
    const part = measured(strip);
    expect(part.geometry).toMatchObject({ volume: null, watertight: false, manifold: false });
    expect(part.topology.oneSided).toBe(true);
  });

  test("a fan of 100,000 triangles around one corner", () => {
    const n = 50_000;
    const rim = (i: number): Point => [
      Math.cos((2 * Math.PI * (i % n)) / n),
      Math.sin((2 * Math.PI * (i % n)) / n),
      0,
    ];
    const cone = Array.from({ length: n }, (_, i): Triangle[] => [
      [rim(i), rim(i + 1), [0, 0, 3]],
      [rim(i + 1), rim(i), [0, 0, 0]],
    ]).flat();
    const geometry = geometryOf(cone);
    expectNear(geometry.volume, Math.PI);
    expect(geometry).toMatchObject({ triangles: 2 * n, manifold: true });
  });
});

describe("walls, overhangs, features", () => {
  test("a cube is as thick as it is wide and needs no support", () => {
    expect(examined(cube(10))).toMatchObject({
      minWallThickness: expect.closeTo(10, 4),
      thinWalls: [],
      overhangs: [],
      smallFeatures: [],
      supportVolume: 0,
      issues: [],
      features: { faces: 6, sharpEdgeLength: expect.closeTo(120, 6), throughHoles: 0, cavities: 0 },
    });
  });

  test("a sphere is as thick as its diameter, a torus as its tube", () => {
    expectNear(examined(sphere(7, 128)).minWallThickness, 14);
    expectNear(examined(torus(20, 5, 200)).minWallThickness, 10);
  });

  test("the wall of a hollow cube, off the middle", () => {
    const hollow = [...cube(10), ...flipped(box([0.3, 2, 2], [8, 8, 8]))];
    const dfm = examined(hollow);
    expect(dfm.minWallThickness).toBeCloseTo(0.3, 5);
    expect(dfm.issues).toContainEqual(
      expect.objectContaining({ code: "THIN_WALL", severity: "error" }),
    );
    // The inside of the thin wall; the outside is one large face of the cube.
    expect(dfm.thinWalls.map(({ area }) => Math.round(area))).toContain(36);
    expect(dfm.thinWalls.every(({ center }) => center[0] < 1)).toBe(true);
    // The cavity's ceiling: 7.7 x 6, 6 above its floor.
    expect(dfm.overhangs).toMatchObject([{ angle: 90, area: expect.closeTo(46.2, 4) }]);
    expect(dfm.supportVolume).toBeCloseTo(46.2 * 6, 3);
  });

  test("a plate of 0.6 mm is thin, of 2 mm is not", () => {
    expect(examined(box([0, 0, 0], [50, 30, 0.6])).issues).toMatchObject(
      Array.from({ length: 2 }, () => ({
        code: "THIN_WALL",
        severity: "warning",
        message: "A wall is 0.6 mm thick, less than 0.8 mm",
      })),
    );
    expect(examined(box([0, 0, 0], [50, 30, 2])).issues).toEqual([]);
  });

  test("a table needs support under its top", () => {
    const table = [...box([4, 4, 0], [6, 6, 8]), ...box([0, 0, 8.001], [10, 10, 10])];
    const { overhangs, supportVolume, overhangArea } = examined(table);
    expect(overhangs).toMatchObject([{ angle: 90, triangles: 2 }]);
    expect(overhangArea).toBeCloseTo(100, 4);
    expect(supportVolume).toBeGreaterThan(500);
  });

  test("a slope of 45° holds, a flatter one does not", () => {
    const slope = (run: number): Triangle[] => {
      const outer = cube(10);
      // The bottom's far edge is drawn in, so that one side leans outwards.
      return outer.map(
        (corners) =>
          corners.map(([x, y, z]) => [
            z === 0 && x === 10 ? 10 - run : x,
            y,
            z,
          ]) as unknown as Triangle,
      );
    };
    expect(examined(slope(9.99)).overhangs).toEqual([]);
    expect(examined(slope(10)).overhangs).toEqual([]);
    const flat = slope(8).map(
      (corners) => corners.map(([x, y, z]) => [x, y, z / 2]) as unknown as Triangle,
    );
    expect(examined(flat).overhangs).toMatchObject([{ angle: expect.closeTo(58, 0) }]);
  });

  test("a narrow gap, and a part too small", () => {
    const gap = [...cube(10), ...cube(10, [10.3, 0, 0])];
    expect(examined(gap).smallFeatures).toMatchObject([
      { kind: "gap", size: expect.closeTo(0.3, 4) },
      { kind: "gap", size: expect.closeTo(0.3, 4) },
    ]);
    const crumb = [...cube(10), ...cube(0.2, [20, 0, 0])];
    expect(examined(crumb).issues).toContainEqual(
      expect.objectContaining({ code: "SMALL_PART", severity: "warning" }),
    );
  });

  test("an open mesh tells where", () => {
    const [issue] = examined(cube(10).slice(1)).issues;
    expect(issue).toMatchObject({
      code: "OPEN_EDGES",
      severity: "error",
      message: "The surface has holes: 3 open edges, the first of them here",
      place: { center: [5, 5, 0] },
    });
  });
});

test("complexity grows from a cube over a torus to many pieces", () => {
  const scoreOf = (triangles: readonly Triangle[]) => {
    const part = measured(triangles);
    return complexityOf(part.geometry, featuresOf(part, new Triangles(part)));
  };
  const pieces = Array.from({ length: 64 }, (_, i) =>
    torus(3, 0.5, 30).map((t) => moved([t], [8 * i, 0, 0])[0]!),
  ).flat();
  expect(scoreOf(cube(10))).toEqual({ score: 11, level: "simple" });
  expect(scoreOf(torus(20, 5, 100))).toMatchObject({ level: "moderate" });
  expect(scoreOf(pieces).score).toBeGreaterThan(50);
});
