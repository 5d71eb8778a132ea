import type { Result, Router } from "hono/router";
import { TrieRouter } from "hono/router/trie-router";

/** Looks routes up in a trie; those without parameters, which most calls name, only once. */
export class KeptRouter<T> implements Router<T> {
  readonly name = "KeptRouter";
  readonly #trie = new TrieRouter<T>();
  readonly #fixed = new Set<string>();
  /** By method and path: as many as there are fixed paths, at most. */
  readonly #kept = new Map<string, Map<string, Result<T>>>();

  add(method: string, path: string, handler: T): void {
    this.#trie.add(method, path, handler);
    if (!/[:*]/.test(path)) this.#fixed.add(path);
    this.#kept.clear();
  }

  match(method: string, path: string): Result<T> {
    const kept = this.#kept.get(method)?.get(path);
    if (kept !== undefined) return kept;
    const found = this.#trie.match(method, path);
    if (this.#fixed.has(path)) {
      let ofMethod = this.#kept.get(method);
      if (ofMethod === undefined) this.#kept.set(method, (ofMethod = new Map()));
      ofMethod.set(path, found);
    }
    return found;
  }
}
