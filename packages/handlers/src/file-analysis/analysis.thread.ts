import { type Analysis, analyseFile, type AnalysisOptions, type FileType } from "./analyse.ts";
import { ModelFault } from "./mesh.ts";

export interface AnalysisTask {
  readonly path: string;
  readonly type: FileType;
  readonly options: AnalysisOptions;
  /** One 32-bit number that is kept at the hundredths of a percent done. */
  readonly progress: SharedArrayBuffer;
}

export type AnalysisAnswer =
  | { readonly analysis: Analysis }
  | { readonly fault: string }
  | { readonly failure: string };

/** Runs on a worker thread. */
export default async function run(task: AnalysisTask): Promise<AnalysisAnswer> {
  const progress = new Int32Array(task.progress);
  try {
    const analysis = await analyseFile(task.path, task.type, task.options, (percent) => {
      Atomics.store(progress, 0, Math.round(100 * percent));
    });
    return { analysis };
  } catch (error) {
    if (error instanceof ModelFault) return { fault: error.message };
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
