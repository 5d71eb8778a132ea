import type { TenantFiles } from "./storage.ts";

const KIND = "quotes";

/** What reports need of a quote's latest calculation: its job's result. */
export interface QuoteRecord {
  readonly quoteId: string;
  readonly items: readonly Readonly<Record<string, unknown>>[];
  readonly summary: Readonly<Record<string, unknown>>;
}

export async function keepQuote(files: TenantFiles, quote: QuoteRecord): Promise<void> {
  await files.putRecord(KIND, quote.quoteId, quote);
}

/** Null: no calculation of that quote is kept. */
export async function knownQuote(files: TenantFiles, quoteId: string): Promise<QuoteRecord | null> {
  const stored = await files.getRecord(KIND, quoteId);
  return stored === null ? null : (stored.value as QuoteRecord);
}

/** Those calculated in the period (epoch ms, both ends included), oldest first. */
export async function* quotesIn(
  files: TenantFiles,
  period: { readonly from: number; readonly to: number },
): AsyncGenerator<QuoteRecord & { readonly at: number }> {
  for await (const { at, value } of files.listRecords(KIND, period)) {
    yield { ...(value as QuoteRecord), at };
  }
}
