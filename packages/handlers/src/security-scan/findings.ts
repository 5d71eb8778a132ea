import { appendFileSync } from "node:fs";
import { type FindingKind, findingKinds, type Severity } from "./kinds.ts";
import { masked } from "./mask.ts";

/** Where in the file; types, not interfaces: results are open records. */
export type Place = {
  /** Counted from 1. */
  readonly line?: number;
  readonly row?: number;
  readonly sheet?: string;
  /** Of an archive. */
  readonly part?: string;
  /** Column or key. */
  readonly field?: string;
  /** Bytes; where samples are read, lines are not counted. */
  readonly offset?: number;
};

export type Finding = {
  readonly kind: FindingKind;
  readonly severity: Severity;
  readonly title: string;
  readonly place: Place;
  /** Masked. */
  readonly sample?: string;
  /** How many values a field has whose name alone tells what it holds. */
  readonly values?: number;
};

/** Findings of one kind in one field that the result shows. */
const SHOWN_EACH = 20;
const SHOWN = 1000;
/** Written to the file. */
const KEPT = 100_000;
const FLUSH_CHARACTERS = 256 * 1024;

/** All findings of a scan: counted, the first of each kind and field shown, all of them (to a limit) in a file. */
export class Findings {
  readonly counts = new Map<FindingKind, number>();
  readonly shown: Finding[] = [];
  readonly path: string;
  total = 0;
  readonly #places = new Map<string, number>();
  #pending = "";

  constructor(path: string) {
    this.path = path;
    appendFileSync(path, "", { flag: "w" });
  }

  add(kind: FindingKind, place: Place, text: string): void {
    this.#add(kind, place, { sample: masked(kind, text) });
  }

  addField(kind: FindingKind, place: Place, values: number): void {
    this.#add(kind, place, { values });
  }

  /** How many findings of that kind there are in the field. */
  in(kind: FindingKind, field: string): number {
    return this.#places.get(`${kind} ${field}`) ?? 0;
  }

  flush(): void {
    if (this.#pending !== "") appendFileSync(this.path, this.#pending);
    this.#pending = "";
  }

  #add(kind: FindingKind, place: Place, more: Pick<Finding, "sample" | "values">): void {
    this.total++;
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    const key = `${kind} ${place.field ?? ""}`;
    const before = this.#places.get(key) ?? 0;
    this.#places.set(key, before + 1);
    const isShown = before < SHOWN_EACH && this.shown.length < SHOWN;
    if (!isShown && this.total > KEPT) return;
    const { severity, title } = findingKinds[kind];
    const finding: Finding = { kind, severity, title, place, ...more };
    if (isShown) this.shown.push(finding);
    if (this.total > KEPT) return;
    this.#pending += `${JSON.stringify(finding)}\n`;
    if (this.#pending.length > FLUSH_CHARACTERS) this.flush();
  }
}
