import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileAnalysisHandler } from "../../src/file-analysis/handler.ts";
import { knownGeometry } from "../../src/geometry-record.ts";
import type { Storage } from "../../src/storage.ts";
import { expectFailure, newStorage, runHandler, TENANT } from "../run-handler.ts";
import { asciiStl, binaryStl, cube, flipped, torus } from "./shapes.ts";

let files: Storage;
beforeAll(async () => {
  files = await newStorage();
  const folder = join(files.root, TENANT, "parts");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "cube.stl"), binaryStl(cube(10)));
  await writeFile(
    join(folder, "hollow.stl"),
    asciiStl([...cube(10), ...flipped(cube(9, [0.5, 0.5, 0.5]))]),
  );
  await writeFile(join(folder, "broken.stl"), "solid\nfacet\nvertex 1 2 x\n");
  await writeFile(join(folder, "large.stl"), binaryStl(torus(20, 5, 400)));
});
afterAll(() => files.close());

const job = (name: string, more: object = {}) => ({
  fileId: `id of ${name}`,
  fileUrl: `parts/${name}`,
  fileName: name,
  fileType: "stl",
  ...more,
});

test("measures, examines, and keeps what quotes need", async () => {
  const run = await runHandler(fileAnalysisHandler({ files }), job("hollow.stl"));
  expect(run.result).toMatchObject({
    geometry: {
      volume: expect.closeTo(1000 - 729, 6),
      surfaceArea: expect.closeTo(600 + 486, 6),
      boundingBox: { min: { x: 0, y: 0, z: 0 }, max: { x: 10, y: 10, z: 10 } },
      centroid: { x: expect.closeTo(5, 9), y: expect.closeTo(5, 9), z: expect.closeTo(5, 9) },
      triangles: 24,
      watertight: true,
      manifold: true,
      shells: 2,
    },
    dfm: {
      minWallThickness: expect.closeTo(0.5, 6),
      overhangs: [{ angle: 90, area: expect.closeTo(81, 6), place: { x: 5, y: 5, z: 9.5 } }],
    },
    features: { faces: 12, cavities: 1 },
    complexity: { level: "moderate" },
  });
  expect(await knownGeometry(files.of(TENANT), "id of hollow.stl")).toMatchObject({
    fileName: "hollow.stl",
    volume: expect.closeTo(271, 6),
    supportVolume: expect.closeTo(729, 4),
  });
  expect(await knownGeometry(files.of("other"), "id of hollow.stl")).toBeNull();
});

test("options leave things out, but not what quotes need", async () => {
  const handler = fileAnalysisHandler({ files });
  const only = async (analysisOptions: object) =>
    (await runHandler(handler, job("cube.stl", { analysisOptions }))).result;
  expect(Object.keys(await only({ performDfm: false })).sort()).toEqual([
    "complexity",
    "features",
    "geometry",
  ]);
  expect(await only({ extractGeometry: false, detectFeatures: false })).toMatchObject({
    dfm: { smallFeatures: [] },
  });
  expect(await only({ calculateVolume: false })).toMatchObject({
    geometry: { volume: null, centroid: null, surfaceArea: 600 },
  });
  const all = {
    performDfm: false,
    extractGeometry: false,
    calculateVolume: false,
    detectFeatures: false,
  };
  expect(Object.keys(await only(all))).toEqual(["complexity"]);
  expect(await knownGeometry(files.of(TENANT), "id of cube.stl")).toMatchObject({
    volume: expect.closeTo(1000, 9),
  });
});

test("a broken file is a fault that names file and line", async () => {
  const run = runHandler(fileAnalysisHandler({ files }), job("broken.stl"));
  const error = await expectFailure(run, { code: "INVALID_FILE", dataFault: true });
  expect(error.message).toBe('broken.stl: line 3: "x" is not a finite number');
  await expectFailure(runHandler(fileAnalysisHandler({ files }), job("none.stl")), {
    code: "FILE_NOT_FOUND",
    dataFault: true,
  });
});

test("reports progress, and stops at once when it is cancelled", async () => {
  const abort = new AbortController();
  const handler = fileAnalysisHandler({ files });
  let cancelled = Infinity;
  setTimeout(() => {
    cancelled = performance.now();
    abort.abort(new Error("cancelled"));
  }, 500);
  const run = runHandler(handler, job("large.stl"), { signal: abort.signal });
  await expect(run).rejects.toThrow("cancelled");
  expect(performance.now() - cancelled).toBeLessThan(5000);
  expect(await knownGeometry(files.of(TENANT), "id of large.stl")).toBeNull();
  const { reports } = await runHandler(handler, job("large.stl"));
  const shown = reports.map(({ progress }) => progress ?? 0);
  expect(shown.length).toBeGreaterThan(0);
  expect(shown).toEqual(shown.toSorted((one, other) => one - other));
});

describe("with an analysis service", () => {
  let server: Server;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let service = "";
  beforeAll(async () => {
    server = createServer((request, response) => answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    service = `http://127.0.0.1:${(server.address() as AddressInfo).port}/geometry`;
  });
  afterAll(() => server.close());

  const run = (signal?: AbortSignal, url = service) =>
    runHandler(
      fileAnalysisHandler({ files, workerServiceUrl: url }),
      job("remote.stl", { fileUrl: "s3://bucket/acme/remote.stl" }),
      signal ? { signal, jobId: 17 } : { jobId: 17 },
    );
  const says = (status: number, body: unknown) => {
    answer = (_, response) =>
      response
        .writeHead(status, { "content-type": "application/json" })
        .end(typeof body === "string" ? body : JSON.stringify(body));
  };
  const point = { x: 0, y: 0, z: 0 };
  const result = {
    geometry: {
      volume: 5,
      surfaceArea: 20,
      boundingBox: { min: point, max: { x: 1, y: 2, z: 3 } },
      centroid: null,
      triangles: 12,
      watertight: true,
      manifold: true,
      shells: 1,
    },
    complexity: { score: 12, level: "simple" },
  };

  test("it gets the job's data, and its answer is the result", async () => {
    let asked: unknown;
    answer = (request, response) => {
      let text = "";
      request.on("data", (chunk) => (text += String(chunk)));
      request.on("end", () => {
        asked = { method: request.method, url: request.url, body: JSON.parse(text) as unknown };
        response.end(JSON.stringify(result));
      });
    };
    expect((await run()).result).toEqual(result);
    expect(asked).toEqual({
      method: "POST",
      url: "/geometry/analyze",
      body: {
        fileId: "id of remote.stl",
        fileUrl: "s3://bucket/acme/remote.stl",
        fileName: "remote.stl",
        fileType: "stl",
        tenantId: TENANT,
        jobId: "17",
      },
    });
    expect(await knownGeometry(files.of(TENANT), "id of remote.stl")).toMatchObject({
      volume: 5,
      complexity: 12,
    });
  });

  test("its refusals are the file's fault, its failures pass", async () => {
    says(422, { error: { code: "BAD_MESH", message: "facet 3 is broken" } });
    const refused = await expectFailure(run(), { code: "INVALID_FILE", dataFault: true });
    expect(refused.message).toBe("The analysis service answered 422: facet 3 is broken");
    for (const status of [429, 500, 503, 302]) {
      says(status, "oops");
      await expectFailure(run(), { code: "TEMPORARY_FAILURE", dataFault: false });
    }
    says(200, "oops");
    await expectFailure(run(), { code: "TEMPORARY_FAILURE", dataFault: false });
    says(200, { ...result, geometry: { ...result.geometry, volume: -1 } });
    const wrong = await expectFailure(run(), { code: "TEMPORARY_FAILURE", dataFault: false });
    expect(wrong.message).toMatch(/geometry\.volume/);
  });

  test("that cannot be reached, or breaks off", async () => {
    await expectFailure(run(undefined, "http://127.0.0.1:1"), {
      code: "NETWORK_ERROR",
      dataFault: false,
    });
    answer = (_, response) => {
      response.writeHead(200, { "content-length": "1000" }).write("{");
      setTimeout(() => response.destroy(), 20);
    };
    await expectFailure(run(), { code: "NETWORK_ERROR", dataFault: false });
  });

  test("that is slow: a cancelled job does not wait for it", async () => {
    answer = () => undefined;
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error("cancelled")), 100);
    await expect(run(abort.signal)).rejects.toThrow("cancelled");
    server.closeAllConnections();
  });
});
