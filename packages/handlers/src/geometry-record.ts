import { z } from "zod";
import type { TenantFiles } from "./storage.ts";

const KIND = "geometry";
const size = z.number().nonnegative();
const vector = z.object({ x: z.number(), y: z.number(), z: z.number() });

const record = z.object({
  fileName: z.string(),
  /** mm³; null: the surface is not closed. */
  volume: size.nullable(),
  /** mm² */
  surfaceArea: size,
  /** mm */
  boundingBox: z.object({ min: vector, max: vector }),
  /** mm³ */
  supportVolume: size.nullable(),
  /** 0 to 100. */
  complexity: size,
});

/** What quotes need of a file's latest analysis. */
export type GeometryRecord = z.infer<typeof record>;

export async function keepGeometry(
  files: TenantFiles,
  fileId: string,
  geometry: GeometryRecord,
): Promise<void> {
  await files.putRecord(KIND, fileId, geometry);
}

/** Null: no analysis of that file is kept. */
export async function knownGeometry(
  files: TenantFiles,
  fileId: string,
): Promise<GeometryRecord | null> {
  const stored = await files.getRecord(KIND, fileId);
  return stored === null ? null : record.parse(stored.value);
}
