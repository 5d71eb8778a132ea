import { z } from "@hono/zod-openapi";
import { count, moment, tenantQuery } from "./basics.ts";

export const fileParams = z.object({
  path: z.string().openapi({
    description: "Letters, digits and `/ _ . -`; slashes as they are or as `%2F`",
    example: "imports/2026/wells.csv",
  }),
});

export const filesQuery = tenantQuery.extend({
  folder: z.string().max(1024).optional().openapi({ description: "Default: the tenant's own" }),
});

const fields = {
  name: z.string(),
  bytes: count,
  modifiedAt: moment,
  contentType: z.string(),
};

export const file = z.object({ path: z.string(), ...fields }).openapi("File");

export const folder = z
  .object({
    items: z.array(
      z.object({
        name: z.string(),
        path: z.string(),
        kind: z.enum(["file", "folder"]),
        bytes: count.nullable(),
        modifiedAt: moment.nullable(),
      }),
    ),
  })
  .openapi("Folder");

export const jobFiles = z
  .object({ items: z.array(z.object({ ...fields, href: z.string() })) })
  .openapi("JobFiles");

export const jobFileParams = z.object({ id: z.string(), name: z.string() });
