import { readFile } from "node:fs/promises";
import { HandlerError } from "@jobyard/core";
import { RE2JS } from "re2js";
import { z } from "zod";
import type { TenantFiles } from "../storage.ts";

export const columnTypes = ["text", "number", "integer", "boolean", "date", "currency"] as const;
export type ColumnType = (typeof columnTypes)[number];

/** A column of the rows that are read from images. */
export interface Column {
  readonly id: string;
  readonly name: string;
  readonly type: ColumnType;
  readonly description: string;
  /** Empty: any. */
  readonly allowedValues: readonly string[];
  /** Found anywhere in the value, unless it is anchored. */
  readonly pattern: RE2JS | null;
}

export interface Project {
  readonly id: string;
  readonly columns: readonly Column[];
  /** In place of EXTRACTOR_MODEL. */
  readonly model: string | null;
  readonly flags: {
    /** An image may hold several rows. Default true. */
    readonly multiRow: boolean;
    /** Default true. */
    readonly confidence: boolean;
    /** Default true. */
    readonly boundingBoxes: boolean;
  };
}

/** Producers' own words for the types. */
const typeNames: Readonly<Record<string, ColumnType>> = {
  string: "text",
  float: "number",
  decimal: "number",
  int: "integer",
  bool: "boolean",
  money: "currency",
};

const MOST_COLUMNS = 200;
const MOST_PROJECT_BYTES = 1_000_000;

const allowed = z.union([
  z.array(z.union([z.string(), z.number()]).transform(String)),
  z.string().transform((list) => list.split(",")),
]);

const columnSchema = z.looseObject({
  id: z
    .string()
    .min(1)
    .max(256)
    .refine((id) => id !== "__proto__", "Must not be __proto__"),
  name: z.string().max(1000).optional(),
  type: z
    .string()
    .transform((name) => typeNames[name.toLowerCase()] ?? name.toLowerCase())
    .pipe(z.enum(columnTypes))
    .nullish(),
  description: z.string().max(10_000).nullish(),
  allowedValues: allowed.nullish(),
  regex: z.string().max(1000).nullish(),
});

/** Of the file. */
export const projectSchema = z.looseObject({
  columns: z.array(columnSchema).min(1).max(MOST_COLUMNS),
  model: z.string().min(1).max(256).nullish(),
  featureFlags: z.record(z.string(), z.unknown()).nullish(),
});

/**
 * Reads `projects/{projectId}/project.json`.
 * @throws HandlerError `PROJECT_NOT_FOUND` or `INVALID_PROJECT`, faults of the data
 */
export async function readProject(
  projectId: string,
  files: TenantFiles,
  signal: AbortSignal,
): Promise<Project> {
  const filePath = `projects/${projectId}/project.json`;
  const text = await readText(filePath, files, signal);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw invalid(`${filePath}: is not JSON`, error);
  }
  const parsed = projectSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue?.path.map(String).join(".") ?? "";
    throw invalid(`${filePath}: ${field === "" ? "" : `${field}: `}${issue?.message}`);
  }
  const { columns, model, featureFlags } = parsed.data;
  const ids = new Set<string>();
  for (const { id } of columns) {
    if (ids.has(id)) throw invalid(`${filePath}: two columns have the id ${id}`);
    ids.add(id);
  }
  const flag = (...names: string[]): boolean =>
    names.every((name) => featureFlags == null || featureFlags[name] !== false);
  return {
    id: projectId,
    columns: columns.map((column) => ({
      id: column.id,
      name: column.name ?? column.id,
      type: column.type ?? "text",
      description: column.description ?? "",
      allowedValues: (column.allowedValues ?? []).map((value) => value.trim()).filter(Boolean),
      pattern: patternOf(column, filePath),
    })),
    model: model ?? null,
    flags: {
      multiRow: flag("multiRow", "multiRowExtraction"),
      confidence: flag("confidence", "confidenceScores"),
      boundingBoxes: flag("boundingBoxes", "boundingBox"),
    },
  };
}

async function readText(
  filePath: string,
  files: TenantFiles,
  signal: AbortSignal,
): Promise<string> {
  try {
    const { path } = await files.local({ filePath }, { signal, maxBytes: MOST_PROJECT_BYTES });
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (error) {
    if (error instanceof HandlerError && error.code === "FILE_NOT_FOUND") {
      throw new HandlerError("PROJECT_NOT_FOUND", `${filePath}: no such project`, {
        dataFault: true,
        stage: "project",
      });
    }
    if (error instanceof TypeError) throw invalid(`${filePath}: is not UTF-8`, error);
    throw error;
  }
}

function patternOf({ id, regex }: z.output<typeof columnSchema>, filePath: string): RE2JS | null {
  if (regex == null || regex === "") return null;
  try {
    return RE2JS.compile(regex);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw invalid(`${filePath}: column ${id}: regex: ${why}`, error);
  }
}

function invalid(message: string, cause?: unknown): HandlerError {
  return new HandlerError("INVALID_PROJECT", message, { dataFault: true, stage: "project", cause });
}
