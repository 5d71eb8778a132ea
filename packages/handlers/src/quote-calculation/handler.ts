import { defineHandler, type Handler, jobTypes } from "@jobyard/core";
import { type GeometryRecord, knownGeometry } from "../geometry-record.ts";
import { keepQuote } from "../quote-record.ts";
import type { HandlerDeps } from "../handler-deps.ts";
import { catalogueOf } from "./catalogue.ts";
import { quoteOf, unknownFile } from "./quote.ts";

const type = jobTypes["quote-calculation"];

/**
 * Prices quotes by the tenant's catalogue and what the latest analysis of each file has measured; reports
 * find them under their `quoteId`.
 */
export function quoteCalculationHandler(
  deps: HandlerDeps,
  options: { readonly now?: () => number } = {},
): Handler {
  const { now = Date.now } = options;
  return defineHandler(type, async ({ data, job, signal }) => {
    const files = deps.files.of(job.tenant);
    const catalogue = await catalogueOf(files, signal);
    const geometryOf = new Map<string, GeometryRecord>();
    for (const [index, { fileId }] of data.items.entries()) {
      if (geometryOf.has(fileId)) continue;
      signal.throwIfAborted();
      const geometry = await knownGeometry(files, fileId);
      if (geometry === null) throw unknownFile(`items.${index}`, fileId);
      geometryOf.set(fileId, geometry);
    }
    const quote = quoteOf(data, catalogue, geometryOf, now());
    await keepQuote(files, quote);
    return quote;
  });
}
