import { z } from "zod";
import { anyData, fileUrl, oneOf, reference } from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const data = z.looseObject({
  ...anyData,
  fileId: reference,
  fileUrl,
  fileName: z.string().min(1).max(1024),
  fileType: oneOf(["stl", "obj", "3mf", "step"]),
  analysisOptions: z
    .looseObject({
      performDfm: z.boolean().optional(),
      extractGeometry: z.boolean().optional(),
      calculateVolume: z.boolean().optional(),
      detectFeatures: z.boolean().optional(),
    })
    .optional(),
});

/** Millimetres. */
const point = z.looseObject({ x: z.number(), y: z.number(), z: z.number() });

const result = z.looseObject({
  /** What an option left out, or a part that is no closed solid, has no value. */
  geometry: z
    .looseObject({
      /** mm³ */
      volume: z.number().nullable(),
      /** mm² */
      surfaceArea: z.number(),
      boundingBox: z.looseObject({ min: point, max: point }),
      centroid: point.nullable(),
      triangles: z.number().int(),
      watertight: z.boolean(),
      manifold: z.boolean(),
      shells: z.number().int(),
    })
    .optional(),
  dfm: z
    .looseObject({
      /** mm */
      minWallThickness: z.number().nullable(),
      overhangs: z.unknown(),
      thinWalls: z.unknown(),
      smallFeatures: z.unknown(),
      issues: z.array(
        z.looseObject({ severity: z.string(), message: z.string(), place: z.unknown() }),
      ),
    })
    .optional(),
  complexity: z.unknown(),
});

export const fileAnalysis = defineJobType({
  name: "file-analysis",
  title: "File analysis",
  data,
  result,
  defaults: { attempts: 3, backoffMs: 5_000, timeoutMs: 300_000 },
});
