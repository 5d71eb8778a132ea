import type { ExportColumn, Value } from "./export.ts";

/** What stands before the value of each column of an object. */
export function jsonKeys(columns: readonly ExportColumn[]): string[] {
  return columns.map(({ name }, index) => `${index === 0 ? "" : ","}${JSON.stringify(name)}:`);
}

export function jsonRow(
  row: readonly Value[],
  columns: readonly ExportColumn[],
  keys: readonly string[],
): string {
  let object = "{";
  for (let index = 0; index < columns.length; index++) {
    object += (keys[index] ?? "") + jsonValue(row[index] ?? null, columns[index]?.kind);
  }
  return `${object}}`;
}

const JSON_NUMBER = /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/;

function jsonValue(value: Value, kind: ExportColumn["kind"] | undefined): string {
  if (value === null) return "null";
  switch (kind) {
    case "number":
      // Infinity and NaN have no JSON.
      return JSON_NUMBER.test(value) ? value : "null";
    case "boolean":
    case "nested":
      return value;
    default:
      return JSON.stringify(value);
  }
}
