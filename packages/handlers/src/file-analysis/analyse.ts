import { closeSync, fstatSync, openSync } from "node:fs";
import { Bvh } from "./bvh.ts";
import { type Dfm, examine } from "./dfm.ts";
import { type Complexity, complexityOf, type Features, featuresOf } from "./features.ts";
import { type Geometry, measure, middleOf } from "./geometry.ts";
import { type Mesh, ModelFault } from "./mesh.ts";
import { readObj } from "./obj.ts";
import { readStep } from "./step.ts";
import { readStl } from "./stl.ts";
import { readThreeMf } from "./three-mf.ts";
import { Triangles } from "./triangles.ts";

export type FileType = "stl" | "obj" | "3mf" | "step";

export interface AnalysisOptions {
  readonly performDfm: boolean;
  readonly detectFeatures: boolean;
}

export interface Analysis {
  readonly geometry: Geometry;
  readonly features: Features;
  readonly complexity: Complexity;
  readonly dfm: Dfm | undefined;
}

/** What the stages take, in percent of all. */
const READ = 30;
const MEASURED = 50;
const CAST = 98;

/**
 * Analyses a model file from beginning to end; takes all of a core while it does.
 *
 * @param report - told percent done
 * @throws {ModelFault}
 */
export async function analyseFile(
  path: string,
  type: FileType,
  options: AnalysisOptions,
  report: (percent: number) => void,
): Promise<Analysis> {
  report(1);
  const read = await readFile(path, type);
  report(READ);
  const measured = measure(read);
  const { geometry } = measured;
  const triangles = new Triangles(measured);
  const features = featuresOf(measured, triangles);
  const complexity = complexityOf(geometry, features);
  report(MEASURED);
  if (!options.performDfm) return { geometry, features, complexity, dfm: undefined };
  const bvh = measured.bvh ?? new Bvh(measured.mesh, middleOf(geometry.boundingBox));
  const dfm = examine(measured, triangles, bvh, { smallFeatures: options.detectFeatures }, (done) =>
    report(MEASURED + (CAST - MEASURED) * done),
  );
  report(CAST);
  return { geometry, features, complexity, dfm };
}

async function readFile(path: string, type: FileType): Promise<Mesh> {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    if (size === 0) throw new ModelFault("the file is empty");
    switch (type) {
      case "stl":
        return readStl(fd, size);
      case "obj":
        return readObj(fd);
      case "3mf":
        return await readThreeMf(fd);
      case "step":
        return await readStep(fd, size);
    }
  } finally {
    closeSync(fd);
  }
}
