import type { DatabaseSync, StatementSync } from "node:sqlite";
import {
  addTo,
  type Bits,
  BUCKET,
  bucketOf,
  decodeBits,
  encodeBits,
  noBits,
  sizeOf,
} from "../../job-facts.ts";

interface Change {
  readonly tenant: string;
  readonly kind: string;
  readonly value: string;
  readonly bucket: number;
  readonly added: Bits;
  readonly removed: Bits;
}

/** Which jobs have a tag, name, project or batch. Changes are gathered and written once a transaction. */
export class LabelSets {
  readonly #changes = new Map<string, Change>();
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #some: StatementSync;

  constructor(db: DatabaseSync) {
    const one = "tenant = ? AND kind = ? AND value = ? AND bucket = ?";
    this.#get = db.prepare(`SELECT bits FROM label_set WHERE ${one}`);
    this.#put = db.prepare("INSERT OR REPLACE INTO label_set VALUES (?, ?, ?, ?, ?)");
    this.#delete = db.prepare(`DELETE FROM label_set WHERE ${one}`);
    this.#some = db.prepare(
      `SELECT bucket, bits FROM label_set
       WHERE tenant = ? AND kind = ? AND value = ? AND bucket BETWEEN ? AND ?`,
    );
    this.#some.setReturnArrays(true);
  }

  add(tenant: string, kind: string, value: string, id: number): void {
    this.#change(tenant, kind, value, id, "added", "removed");
  }

  remove(tenant: string, kind: string, value: string, id: number): void {
    this.#change(tenant, kind, value, id, "removed", "added");
  }

  #change(
    tenant: string,
    kind: string,
    value: string,
    id: number,
    to: "added" | "removed",
    from: "added" | "removed",
  ): void {
    const bucket = bucketOf(id);
    const key = `${tenant}\0${kind}\0${value}\0${bucket}`;
    let change = this.#changes.get(key);
    if (change === undefined) {
      change = { tenant, kind, value, bucket, added: noBits(), removed: noBits() };
      this.#changes.set(key, change);
    }
    const place = id % BUCKET;
    addTo(change[to], place);
    const other = change[from];
    other[place >>> 5] = (other[place >>> 5] ?? 0) & ~(1 << (place & 31));
  }

  /** Part of the transaction that changed them. */
  write(): void {
    for (const { tenant, kind, value, bucket, added, removed } of this.#changes.values()) {
      const key = [tenant, kind, value, bucket] as const;
      const stored = this.#get.get(...key)?.["bits"] as Uint8Array | undefined;
      const bits = stored === undefined ? noBits() : decodeBits(stored);
      bits.forEach((word, i) => (bits[i] = (word | (added[i] ?? 0)) & ~(removed[i] ?? 0)));
      if (sizeOf(bits) > 0) this.#put.run(...key, encodeBits(bits));
      else this.#delete.run(...key);
    }
    this.#changes.clear();
  }

  discard(): void {
    this.#changes.clear();
  }

  /** As written, of the buckets between. */
  read(
    tenant: string,
    kind: string,
    value: string,
    from: number,
    to: number,
  ): readonly (readonly [bucket: number, bits: Bits])[] {
    const rows = this.#some.all(tenant, kind, value, from, to) as unknown as [number, Uint8Array][];
    return rows.map(([bucket, stored]) => [bucket, decodeBits(stored)]);
  }
}
