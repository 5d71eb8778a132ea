import { DuckDBInstance } from "@duckdb/node-api";
import { HandlerError } from "@jobyard/core";
import type { TenantFiles } from "../storage.ts";
import type { DataRow } from "./tabulate.ts";

const wholeNumbers = /^(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL|DOUBLE|FLOAT)/;

/**
 * The rows of a dataset, up to `most` and one more.
 * @throws HandlerError `DATASET_NOT_FOUND`, a fault of the data
 */
export async function datasetRows(
  datasetId: string,
  files: TenantFiles,
  most: number,
): Promise<DataRow[]> {
  const path = await files.useDataset(datasetId);
  if (path === null) {
    throw new HandlerError("DATASET_NOT_FOUND", `There is no dataset ${datasetId}`, {
      dataFault: true,
      stage: "gather",
    });
  }
  const instance = await DuckDBInstance.create(":memory:", { threads: "1", memory_limit: "512MB" });
  const connection = await instance.connect();
  try {
    const reader = await connection.runAndReadAll("SELECT * FROM read_parquet(?) LIMIT ?", [
      path,
      most + 1,
    ]);
    const numeric = reader
      .columnNames()
      .filter((_, i) => wholeNumbers.test(String(reader.columnType(i))));
    return reader.getRowObjectsJson().map((row) => {
      const converted: Record<string, unknown> = { ...row };
      // Large integers and decimals come as text.
      for (const field of numeric) {
        if (typeof row[field] === "string") converted[field] = Number(row[field]);
      }
      return converted;
    });
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
