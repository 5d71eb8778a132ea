import { createHash } from "node:crypto";
import {
  defineHandler,
  type Handler,
  type HandlerContext,
  HandlerError,
  type JobData,
  jobTypes,
} from "@jobyard/core";
import type { HandlerDeps } from "../handler-deps.ts";
import type { TenantFiles } from "../storage.ts";
import { batchImages, type Image, imageById, imageBytes, readImage } from "./images.ts";
import { askModel, type ExtractedRow, type ModelClient, modelName } from "./model.ts";
import { OCR_MODEL, readByOcr } from "./ocr.ts";
import { type Column, type Project, readProject } from "./project.ts";
import { ModelTurns } from "./model-turns.ts";
import type { Extraction } from "./values.ts";

/** Records of batches' rows, under `{projectId}/{batchId}`: a redo replaces columns in them. */
const BATCH_ROWS = "batch-rows";
/** Records of images that a job has read, so that its next attempt need not pay for them again. */
const BATCH_PROGRESS = "batch-progress";

/** Images of one batch under way at once. */
const IN_FLIGHT = 4;

export interface ExtractionOptions {
  /** Before a failed request is sent again, in ms; it doubles. Default 1000. */
  readonly backoffMs?: number;
}

/** Extracts rows from the images of batches. */
export function processBatchHandler(deps: HandlerDeps, options?: ExtractionOptions): Handler {
  const client = clientOf(deps, options);
  return defineHandler(jobTypes.process_batch, (context) => processBatches(context, deps, client));
}

/** Extracts the rows of batches that were completed before, from the start. */
export function reprocessBatchHandler(deps: HandlerDeps, options?: ExtractionOptions): Handler {
  const client = clientOf(deps, options);
  return defineHandler(jobTypes.reprocess_batch, (context) =>
    processBatches(context, deps, client),
  );
}

/** Extracts columns of one row again. */
export function processRedoHandler(deps: HandlerDeps, options?: ExtractionOptions): Handler {
  const client = clientOf(deps, options);
  return defineHandler(jobTypes.process_redo, (context) => redo(context, deps, client));
}

/** One for all handlers that were given the same dependencies: they ask the same model. */
const turnsOf = new WeakMap<HandlerDeps, ModelTurns>();

function clientOf(
  deps: HandlerDeps,
  { backoffMs = 1000 }: ExtractionOptions = {},
): ModelClient | null {
  if (deps.extractor == null) return null;
  const turns = turnsOf.get(deps) ?? new ModelTurns(deps.modelRequests);
  turnsOf.set(deps, turns);
  return { settings: deps.extractor, turns, backoffMs };
}

/** Whether the batch was extracted here before, and its rows are still kept. */
export async function hasBatchRows(
  files: TenantFiles,
  projectId: string,
  batchId: string,
): Promise<boolean> {
  return (await files.getRecord(BATCH_ROWS, rowsId(projectId, batchId))) !== null;
}

type BatchContext = HandlerContext<JobData<(typeof jobTypes)["process_batch"]>>;
type RedoContext = HandlerContext<JobData<(typeof jobTypes)["process_redo"]>>;

interface BatchRow {
  readonly batchId: string;
  readonly rowIndex: number;
  readonly columns: ExtractedRow;
}

async function processBatches(
  context: BatchContext,
  deps: HandlerDeps,
  client: ModelClient | null,
) {
  const { data, job, signal } = context;
  const files = deps.files.of(job.tenant);
  const project = await readProject(data.projectId, files, signal);
  const batchIds = [
    ...new Set([...(data.batchId === undefined ? [] : [data.batchId]), ...(data.batchIds ?? [])]),
  ];
  // All are looked for before the first request is paid for.
  const images: { batchId: string; imageIndex: number; path: string; bytes: number }[] = [];
  for (const batchId of batchIds) {
    const paths = await batchImages(project.id, batchId, files);
    for (const [imageIndex, path] of paths.entries()) {
      const bytes = await imageBytes(path, files, signal);
      images.push({ batchId, imageIndex, path, bytes });
    }
  }
  const progress = await Progress.open(context, files, project, images);
  let failed = 0;
  const report = (): void =>
    context.progress({ items: { total: images.length, processed: progress.done, failed } });
  report();
  const stop = new AbortController();
  const run = { ...runOf(context, progress), signal: AbortSignal.any([signal, stop.signal]) };
  const queue = images.entries();
  const work = async (): Promise<void> => {
    for (const [index, { imageIndex, path }] of queue) {
      if (progress.rows(index) !== undefined) continue;
      const image = await readImage(path, files, run.signal);
      const rows = await extract(project, project.columns, image, imageIndex, client, run);
      await progress.keep(index, rows);
      report();
    }
  };
  const workers = Array.from({ length: client === null ? 1 : IN_FLIGHT }, work);
  try {
    await Promise.all(workers);
  } catch (error) {
    failed++;
    report();
    stop.abort(error);
    await Promise.allSettled(workers);
    throw error;
  }
  const rows: BatchRow[] = [];
  for (const batchId of batchIds) {
    let rowIndex = 0;
    for (const [index, image] of images.entries()) {
      if (image.batchId !== batchId) continue;
      for (const columns of progress.rows(index) ?? []) {
        rows.push({ batchId, rowIndex: rowIndex++, columns });
      }
    }
    const own = rows.filter((row) => row.batchId === batchId);
    await files.putRecord(BATCH_ROWS, rowsId(project.id, batchId), own);
  }
  return {
    projectId: project.id,
    rows: rows.map((row) => ({ ...row })),
    images: images.map(({ batchId, imageIndex, path }) => ({
      batchId,
      image_index: imageIndex,
      name: path.split("/").at(-1) ?? path,
    })),
    imageCount: images.length,
    extractionCount: rows.reduce((sum, { columns }) => sum + countOf(columns), 0),
    modelUsed: modelUsed(project, client),
    tokensUsed: progress.tokens,
  };
}

async function redo(context: RedoContext, deps: HandlerDeps, client: ModelClient | null) {
  const { data, job, signal } = context;
  const { batchId, rowIndex, croppedImageIds, sourceImageIds = {} } = data;
  const files = deps.files.of(job.tenant);
  const project = await readProject(data.projectId, files, signal);
  const record = await files.getRecord(BATCH_ROWS, rowsId(project.id, batchId));
  const rows = record === null ? null : (record.value as BatchRow[]);
  if (rows !== null && rowIndex >= rows.length) {
    throw fault(
      "ROW_NOT_FOUND",
      `Batch ${batchId} has ${rows.length} rows: there is no row ${rowIndex}`,
    );
  }
  const before = rows?.[rowIndex]?.columns ?? {};
  // One request for all columns that are read from the same images.
  const groups = new Map<string, { crop: string; source: string | null; columns: Column[] }>();
  for (const id of new Set(data.redoColumnIds)) {
    const column = project.columns.find((known) => known.id === id);
    if (column === undefined) throw fault("UNKNOWN_COLUMN", `The project has no column ${id}`);
    const crop = own(croppedImageIds, id) ?? own(sourceImageIds, id);
    if (crop === undefined)
      throw fault("IMAGE_NOT_FOUND", `croppedImageIds names no image for ${id}`);
    const source = own(sourceImageIds, id) ?? null;
    const key = JSON.stringify([crop, source]);
    const group = groups.get(key) ?? { crop, source: source === crop ? null : source, columns: [] };
    group.columns.push(column);
    groups.set(key, group);
  }
  let tokens = 0;
  const run = runOf(context, {
    spend: (count) => {
      tokens += count;
    },
  });
  const single = { ...project, flags: { ...project.flags, multiRow: false } };
  const columns: Record<string, Extraction & { redone: true; image_id: string }> = {};
  for (const group of groups.values()) {
    const image = await readImage(await imageById(project.id, group.crop, files), files, signal);
    const source =
      group.source === null
        ? undefined
        : await readImage(await imageById(project.id, group.source, files), files, signal);
    const [row = {}] = await extract(single, group.columns, image, 0, client, run, source);
    for (const { id } of group.columns) {
      const cell = row[id];
      if (cell === undefined) continue;
      const image_index = before[id]?.image_index ?? 0;
      columns[id] = { ...cell, image_index, redone: true, image_id: group.crop };
    }
  }
  if (rows !== null) {
    const replaced = rows.map((row) =>
      row.rowIndex === rowIndex ? { ...row, columns: { ...row.columns, ...columns } } : row,
    );
    await files.putRecord(BATCH_ROWS, rowsId(project.id, batchId), replaced);
  }
  return {
    projectId: project.id,
    batchId,
    rowIndex,
    columns,
    /** The whole row as it is now, where the batch was processed here. */
    ...(rows !== null && { row: { ...before, ...columns } }),
    modelUsed: modelUsed(project, client),
    tokensUsed: tokens,
  };
}

async function extract(
  project: Project,
  columns: readonly Column[],
  image: Image,
  imageIndex: number,
  client: ModelClient | null,
  run: ReturnType<typeof runOf>,
  source?: Image,
): Promise<ExtractedRow[]> {
  if (client === null) return readByOcr(project, columns, image, imageIndex, run.signal);
  return askModel(client, project, columns, image, imageIndex, run, source);
}

function runOf(context: BatchContext | RedoContext, total: { spend(tokens: number): void }) {
  return {
    signal: context.signal,
    log: (line: string): void => context.log(line),
    spend: (tokens: number): void => {
      context.spend(tokens);
      total.spend(tokens);
    },
  };
}

interface Kept {
  /** Of the project and the images: with others, what was kept is not what is asked for. */
  readonly question: string;
  readonly tokens: number;
  /** By the image's place. */
  readonly images: Readonly<Record<string, readonly ExtractedRow[]>>;
}

/** What a job has read so far, over its attempts. */
class Progress {
  readonly #files: TenantFiles;
  readonly #id: string;
  readonly #question: string;
  readonly #images: Record<string, readonly ExtractedRow[]>;
  #tokens: number;
  #writing: Promise<void> = Promise.resolve();

  static async open(
    { job }: BatchContext,
    files: TenantFiles,
    project: Project,
    images: readonly { readonly path: string; readonly bytes: number }[],
  ): Promise<Progress> {
    const columns = project.columns.map(({ pattern, ...column }) => [column, pattern?.pattern()]);
    const asked = [
      project.model,
      project.flags,
      columns,
      images.map(({ path, bytes }) => [path, bytes]),
    ];
    const question = createHash("sha256").update(JSON.stringify(asked)).digest("hex");
    const id = String(job.id);
    const record = await files.getRecord(BATCH_PROGRESS, id);
    const kept = record?.value as Kept | undefined;
    return new Progress(files, id, question, kept?.question === question ? kept : undefined);
  }

  private constructor(files: TenantFiles, id: string, question: string, kept: Kept | undefined) {
    this.#files = files;
    this.#id = id;
    this.#question = question;
    this.#images = { ...kept?.images };
    this.#tokens = kept?.tokens ?? 0;
  }

  get done(): number {
    return Object.keys(this.#images).length;
  }

  get tokens(): number {
    return this.#tokens;
  }

  rows(index: number): readonly ExtractedRow[] | undefined {
    return this.#images[index];
  }

  spend(tokens: number): void {
    this.#tokens += tokens;
  }

  async keep(index: number, rows: readonly ExtractedRow[]): Promise<void> {
    this.#images[index] = rows;
    // One after the other: what is written last is what was read last.
    this.#writing = this.#writing.then(() => {
      const kept: Kept = { question: this.#question, tokens: this.#tokens, images: this.#images };
      return this.#files.putRecord(BATCH_PROGRESS, this.#id, kept);
    });
    await this.#writing;
  }
}

function rowsId(projectId: string, batchId: string): string {
  return `${projectId}/${batchId}`;
}

function modelUsed(project: Project, client: ModelClient | null): string {
  return client === null ? OCR_MODEL : modelName(project, client.settings);
}

function countOf(columns: ExtractedRow): number {
  return Object.values(columns).filter(({ value }) => value !== null).length;
}

function own(images: Readonly<Record<string, string>>, id: string): string | undefined {
  return Object.hasOwn(images, id) ? images[id] : undefined;
}

function fault(code: string, message: string): HandlerError {
  return new HandlerError(code, message, { dataFault: true, stage: "redo" });
}
