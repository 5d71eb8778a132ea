import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Handler, type HandlerContext, validationIssues } from "@jobyard/core";
import type { HandlerDeps } from "../../src/handler-deps.ts";
import { Storage } from "../../src/storage.ts";

export const DATASET = "6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b";

/** A tenant's folder in a temporary place, and handlers run on it as the worker runs them. */
export class Bench {
  readonly root: string;
  readonly files: Storage;
  readonly progress: number[] = [];

  private constructor(root: string) {
    this.root = root;
    this.files = new Storage({ root });
  }

  static async open(): Promise<Bench> {
    return new Bench(await mkdtemp(join(tmpdir(), "handlers-")));
  }

  async close(): Promise<void> {
    await this.files.close();
    await rm(this.root, { recursive: true });
  }

  path(name: string): string {
    return join(this.root, "acme", name);
  }

  async write(name: string, content: string | Buffer): Promise<string> {
    await mkdir(dirname(this.path(name)), { recursive: true });
    await writeFile(this.path(name), content);
    return name;
  }

  /** The result, checked against the job type's schema. */
  async run(
    make: (deps: HandlerDeps) => Handler,
    data: object,
    options: { readonly signal?: AbortSignal; readonly deps?: Partial<HandlerDeps> } = {},
  ): Promise<Record<string, unknown>> {
    const handler = make({ files: this.files, ...options.deps });
    const parsed = handler.type.data.parse(data) as never;
    const context: HandlerContext<never> = {
      data: parsed,
      signal: options.signal ?? new AbortController().signal,
      attempt: 1,
      job: { id: 7, tenant: "acme", queue: handler.type.name, name: null },
      progress: (report) => void this.progress.push(report.progress ?? 0),
      log: () => {},
      spend: () => {},
    };
    const checked = handler.type.result.safeParse(await handler.run(context));
    if (!checked.success)
      throw new Error(JSON.stringify(validationIssues(checked.error, "result")));
    return checked.data as Record<string, unknown>;
  }
}
