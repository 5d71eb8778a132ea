import { extname } from "node:path";
import {
  defineHandler,
  type Handler,
  type HandlerContext,
  HandlerCrash,
  HandlerError,
  type JobData,
  jobTypes,
} from "@jobyard/core";
import type { z } from "zod";
import { keepGeometry } from "../geometry-record.ts";
import type { HandlerDeps } from "../handler-deps.ts";
import type { TenantFiles } from "../storage.ts";
import { ThreadDied, Threads } from "../threads.ts";
import type { AnalysisAnswer, AnalysisTask } from "./analysis.thread.ts";
import type { Analysis } from "./analyse.ts";
import type { Dfm } from "./dfm.ts";
import type { Box, Geometry, Vector } from "./geometry.ts";
import { analyseRemotely } from "./remote.ts";
import type { Place } from "./triangles.ts";

const type = jobTypes["file-analysis"];
type Context = HandlerContext<JobData<typeof type>>;
type Result = z.input<typeof type.result>;

/** Bytes; above what the most triangles take in any format but padded text. */
const MAX_FILE_BYTES = 1_000_000_000;
/** Heap of a thread, MB. Meshes lie beside it, bounded by their own limits. */
const THREAD_MB = 512;
const PROGRESS_EVERY_MS = 250;

const threadFile = new URL(`./analysis.thread${extname(import.meta.url)}`, import.meta.url);

/**
 * Measures model files and examines how well they can be made, on worker threads or by the service at
 * `deps.workerServiceUrl`. What quotes need is kept under the `fileId`.
 */
export function fileAnalysisHandler(deps: HandlerDeps): Handler {
  const threads = new Threads({ memoryMb: THREAD_MB });
  const service = deps.workerServiceUrl ?? null;
  return defineHandler(
    type,
    async (context) => {
      const files = deps.files.of(context.job.tenant);
      if (service === null) return analyseHere(context, files, threads);
      const { data, job, signal } = context;
      const result = await analyseRemotely(service, data, job, signal);
      await keepRemote(files, data, result);
      return result;
    },
    { concurrency: threads.size },
  );
}

async function analyseHere(
  context: Context,
  files: TenantFiles,
  threads: Threads,
): Promise<Result> {
  const { data, signal } = context;
  const {
    performDfm = true,
    extractGeometry = true,
    calculateVolume = true,
    detectFeatures = true,
  } = data.analysisOptions ?? {};
  const file = await files.local({ fileUrl: data.fileUrl }, { signal, maxBytes: MAX_FILE_BYTES });
  try {
    const task: AnalysisTask = {
      path: file.path,
      type: data.fileType,
      options: { performDfm, detectFeatures },
      progress: new SharedArrayBuffer(4),
    };
    const analysis = await runTask(task, threads, context);
    signal.throwIfAborted();
    const { geometry, complexity, dfm } = analysis;
    await keepGeometry(files, data.fileId, {
      fileName: data.fileName,
      volume: geometry.volume,
      surfaceArea: geometry.surfaceArea,
      boundingBox: boxOf(geometry.boundingBox),
      supportVolume: dfm?.supportVolume ?? null,
      complexity: complexity.score,
    });
    return resultOf(analysis, { extractGeometry, calculateVolume, detectFeatures });
  } finally {
    await file.release();
  }
}

async function runTask(task: AnalysisTask, threads: Threads, context: Context): Promise<Analysis> {
  const { data, signal } = context;
  const done = new Int32Array(task.progress);
  const timer = setInterval(() => {
    context.progress({ progress: Atomics.load(done, 0) / 100 });
  }, PROGRESS_EVERY_MS);
  try {
    const answer = await threads.run<AnalysisAnswer>(threadFile, task, signal);
    if ("analysis" in answer) return answer.analysis;
    if ("fault" in answer) {
      throw new HandlerError("INVALID_FILE", `${data.fileName}: ${answer.fault}`, {
        dataFault: true,
        stage: "analysis",
      });
    }
    throw new Error(answer.failure);
  } catch (error) {
    if (error instanceof ThreadDied) throw new HandlerCrash(error.message, { cause: error });
    throw error;
  } finally {
    clearInterval(timer);
  }
}

interface Wanted {
  readonly extractGeometry: boolean;
  readonly calculateVolume: boolean;
  readonly detectFeatures: boolean;
}

function resultOf({ geometry, features, complexity, dfm }: Analysis, wanted: Wanted): Result {
  return {
    ...(wanted.extractGeometry && { geometry: geometryOf(geometry, wanted.calculateVolume) }),
    ...(dfm !== undefined && { dfm: dfmOf(dfm) }),
    ...(wanted.detectFeatures && { features }),
    complexity: { ...complexity },
  };
}

function geometryOf(geometry: Geometry, withVolume: boolean): NonNullable<Result["geometry"]> {
  const { centroid } = geometry;
  return {
    ...geometry,
    volume: withVolume ? geometry.volume : null,
    centroid: withVolume && centroid !== null ? pointOf(centroid) : null,
    boundingBox: boxOf(geometry.boundingBox),
  };
}

function dfmOf(dfm: Dfm): NonNullable<Result["dfm"]> {
  const placed = <Item extends Place>({ center, boundingBox, ...rest }: Item) => ({
    ...rest,
    place: placeOf({ center, boundingBox }),
  });
  return {
    ...dfm,
    thinWalls: dfm.thinWalls.map(placed),
    overhangs: dfm.overhangs.map(placed),
    smallFeatures: dfm.smallFeatures.map(placed),
    issues: dfm.issues.map((issue) => ({ ...issue, place: placeOf(issue.place) })),
  };
}

function pointOf([x, y, z]: Vector) {
  return { x, y, z };
}

function boxOf({ min, max }: Box) {
  return { min: pointOf(min), max: pointOf(max) };
}

function placeOf({ center, boundingBox }: Place) {
  return { ...pointOf(center), boundingBox: boxOf(boundingBox) };
}

async function keepRemote(
  files: TenantFiles,
  { fileId, fileName }: Context["data"],
  { geometry, complexity }: z.infer<typeof type.result>,
): Promise<void> {
  if (geometry === undefined) return;
  const { volume, surfaceArea, boundingBox } = geometry;
  await keepGeometry(files, fileId, {
    fileName,
    volume,
    surfaceArea,
    boundingBox: { min: boundingBox.min, max: boundingBox.max },
    supportVolume: null,
    complexity: complexity.score,
  });
}
