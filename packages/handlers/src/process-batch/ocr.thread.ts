import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createWorker, OEM, PSM, type Worker } from "tesseract.js";

export interface OcrTask {
  readonly bytes: Uint8Array;
}

export interface OcrWord {
  readonly text: string;
  /** 0 to 1. */
  readonly confidence: number;
  /** Pixels. */
  readonly box: readonly [number, number, number, number];
}

/** Words by line, from top to bottom. */
export type OcrAnswer =
  | { readonly lines: readonly (readonly OcrWord[])[] }
  | { readonly error: string };

let worker: Promise<Worker> | undefined;

/** Reads the words in an image, on a worker thread. */
export default async function readWords({ bytes }: OcrTask): Promise<OcrAnswer> {
  worker ??= start();
  try {
    const { data } = await (await worker).recognize(Buffer.from(bytes), {}, { blocks: true });
    const lines = (data.blocks ?? [])
      .flatMap(({ paragraphs }) => paragraphs)
      .flatMap((paragraph) => paragraph.lines)
      .map(({ words }) =>
        words.map(({ text, confidence, bbox }): OcrWord => {
          const { x0, y0, x1, y1 } = bbox;
          return { text, confidence: confidence / 100, box: [x0, y0, x1, y1] };
        }),
      );
    return { lines };
  } catch (error) {
    // What it says comes as a text, and after it the engine may not be what it was.
    const old = worker;
    worker = undefined;
    void old.then((one) => one.terminate()).catch(() => undefined);
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** With language data from the package: nothing is downloaded. */
async function start(): Promise<Worker> {
  const data = createRequire(import.meta.url).resolve("@tesseract.js-data/eng/package.json");
  const langPath = join(dirname(data), "4.0.0_best_int");
  // Where it fails to load its data it would leave the promise open for ever.
  const failed = Promise.withResolvers<never>();
  const errorHandler = (error: unknown): void => failed.reject(new Error(String(error)));
  const options = { langPath, gzip: true, cacheMethod: "none", errorHandler };
  failed.promise.catch(() => undefined);
  const started = await Promise.race([createWorker("eng", OEM.LSTM_ONLY, options), failed.promise]);
  await started.setParameters({ tessedit_pageseg_mode: PSM.SINGLE_BLOCK });
  return started;
}
