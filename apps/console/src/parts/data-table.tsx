import {
  type ColumnDef,
  createSortedRowModel,
  rowSortingFeature,
  sortFns,
  tableFeatures,
  useTable,
} from "@tanstack/preact-table";
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns,
});

type Features = typeof features;

export interface Column<Row> {
  readonly id: string;
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** What rows are sorted by; absent: they are not. */
  readonly sort?: (row: Row) => number | string;
  readonly numeric?: boolean;
  /** Not worth a line of its own where lines are short. */
  readonly wide?: boolean;
}

interface DataTableProps<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
  /** Has to be the same from one rendering to the next. */
  readonly columns: readonly Column<Row>[];
  readonly keyOf: (row: Row) => string;
  /** What it says in place of rows. */
  readonly empty: ComponentChildren;
}

/** A table on wide screens, a list of cards on narrow ones. */
export function DataTable<Row extends object>(props: DataTableProps<Row>) {
  const { label, rows, columns, keyOf, empty } = props;
  const definitions = useMemo(
    () =>
      columns.map(({ id, sort }): ColumnDef<Features, Row> => ({
        id,
        enableSorting: sort !== undefined,
        accessorFn: (row) => sort?.(row) ?? "",
        sortFn: "auto",
      })),
    [columns],
  );
  const table = useTable({
    features,
    columns: definitions,
    data: rows,
    getRowId: keyOf,
  });
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    <div class="table-frame">
      <table class="data">
        <caption class="unseen">{label}</caption>
        <thead>
          <tr>
            {table.getFlatHeaders().map(({ column }, n) => {
              const { title, numeric, wide } = columns[n] as Column<Row>;
              const sorted = column.getIsSorted();
              const order = sorted === "asc" ? "ascending" : "descending";
              return (
                <th
                  key={column.id}
                  scope="col"
                  class={classOf(numeric, wide)}
                  {...(sorted !== false && { "aria-sort": order })}
                >
                  {column.getCanSort() ? (
                    <button type="button" class="sort" onClick={column.getToggleSortingHandler()}>
                      {title}
                      <span aria-hidden="true">
                        {sorted === false ? "" : sorted === "asc" ? " ↑" : " ↓"}
                      </span>
                    </button>
                  ) : (
                    title
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {table.getRowModel().rows.map(({ id, original }) => (
            <tr key={id}>
              {columns.map((column) => (
                <td
                  key={column.id}
                  class={classOf(column.numeric, column.wide)}
                  data-title={column.title}
                >
                  {column.cell(original)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function classOf(numeric = false, wide = false): string {
  return `${numeric ? "numeric" : ""}${wide ? " wide" : ""}`;
}
