import { z } from "zod";
import { anyData, fileUrl, oneOf, reference } from "./fields.ts";
import { defineJobType } from "./job-type.ts";

const data = z.looseObject({
  ...anyData,
  fileId: reference,
  fileUrl,
  fileName: z.string().min(1).max(1024),
  fileType: oneOf(["stl", "obj", "3mf", "step"]),
  /** Each is done unless it is false. */
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
const box = z.looseObject({ min: point, max: point });
/** The middle of the box around what is meant. */
const place = z.looseObject({ x: z.number(), y: z.number(), z: z.number(), boundingBox: box });

const result = z.looseObject({
  /** What an option left out, or a part that is no closed solid, has no value. */
  geometry: z
    .looseObject({
      /** mm³ */
      volume: z.number().nonnegative().nullable(),
      /** mm² */
      surfaceArea: z.number().nonnegative(),
      boundingBox: box,
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
      /** The largest first, as the following. */
      overhangs: z.array(z.looseObject({ area: z.number(), angle: z.number(), place })),
      thinWalls: z.array(z.looseObject({ area: z.number(), thickness: z.number(), place })),
      smallFeatures: z.array(z.looseObject({ kind: z.string(), size: z.number(), place })),
      issues: z.array(
        z.looseObject({
          code: z.string(),
          severity: z.enum(["error", "warning", "info"]),
          message: z.string(),
          place,
        }),
      ),
    })
    .optional(),
  complexity: z.looseObject({
    score: z.number().min(0).max(100),
    level: z.enum(["simple", "moderate", "complex", "very complex"]),
  }),
});

export const fileAnalysis = defineJobType({
  name: "file-analysis",
  title: "File analysis",
  data,
  result,
  defaults: { attempts: 3, backoffMs: 5_000, timeoutMs: 300_000 },
});
