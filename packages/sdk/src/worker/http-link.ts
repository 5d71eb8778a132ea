import { JobyardError } from "../errors.ts";
import type { CallOptions } from "../http.ts";
import { Native, type NativeOptions, type OperationId, type Schemas } from "../native.ts";
import type { Claim, Ended, Link, Load, Refusals, Report, RunRef } from "./link.ts";

/** One pull at the server; proxies cut those that last longer. */
const WAIT_MS = 25_000;
/** Of a pull beyond its wait, ms. */
const MARGIN_MS = 15_000;

export class HttpLink implements Link {
  readonly #native: Native;
  readonly #queue: string;
  readonly #worker: string;

  constructor(options: NativeOptions, queue: string, worker: string) {
    // The worker tries again by itself, with what is true by then.
    this.#native = new Native({ ...options, retries: 0 });
    this.#queue = queue;
    this.#worker = worker;
  }

  async pull(limit: number, signal: AbortSignal): Promise<readonly Claim[]> {
    const body = { queues: [this.#queue], limit, waitMs: WAIT_MS, worker: this.#worker };
    const options = { signal, timeoutMs: WAIT_MS + MARGIN_MS };
    try {
      const { items } = await this.#native.call("pullJobs", { body }, options);
      return await Promise.all(items.map((job) => this.#claim(job)));
    } catch (error) {
      if (signal.aborted) return [];
      throw error;
    }
  }

  async #claim(job: Schemas["ClaimedJob"]): Promise<Claim> {
    const { id, lease, name, attemptsMade, maxAttempts, leaseMs, data, dataFile } = job;
    const run = { id, lease, name, attempt: attemptsMade + 1, maxAttempts, leaseMs };
    if (dataFile === undefined) return { ...run, data };
    const response = await this.#native.raw("getJobData", { path: { id } });
    return { ...run, data: await response.json() };
  }

  async end(ended: readonly Ended[]): Promise<Refusals> {
    const acks: string[] = [];
    const fails: string[] = [];
    for (const { run, ending } of ended) {
      const { id, lease } = run;
      if (ending.kind === "completed") {
        const { result } = ending;
        const tail = result === undefined ? "" : `,"result":${result}`;
        acks.push(`{"id":${JSON.stringify(id)},"lease":${JSON.stringify(lease)}${tail}}`);
      } else {
        const { error, code, final } = ending;
        fails.push(JSON.stringify({ id, lease, error, code, final }));
      }
    }
    const [acked, failed] = await Promise.all([
      this.#outcomes("ackJobs", acks),
      this.#outcomes("failJobs", fails),
    ]);
    let ack = 0;
    let fail = 0;
    return ended.map(({ ending }) => (ending.kind === "completed" ? acked[ack++] : failed[fail++]));
  }

  async report(reports: readonly Report[]): Promise<void> {
    const progress = reports.flatMap(({ run: { id, lease }, progress }) =>
      progress === undefined
        ? []
        : [JSON.stringify({ id, lease, progress: progress.percent, message: progress.message })],
    );
    const logs = reports.flatMap(({ run: { id, lease }, lines }) =>
      lines.length === 0 ? [] : [JSON.stringify({ id, lease, lines })],
    );
    await Promise.all([
      this.#outcomes("reportProgress", progress),
      this.#outcomes("writeLogs", logs),
    ]);
  }

  async renew(runs: readonly RunRef[]): Promise<readonly RunRef[]> {
    const items = runs.map(({ id, lease }) => JSON.stringify({ id, lease }));
    const refusals = await this.#outcomes("renewJobs", items);
    return runs.filter((_, i) => refusals[i] !== undefined);
  }

  async heartbeat(load: Load): Promise<void> {
    const body = { queues: [this.#queue], ...load };
    await this.#native.call("heartbeatWorker", { path: { worker: this.#worker }, body });
  }

  async close(runs: readonly RunRef[]): Promise<void> {
    const items = runs.map(({ id, lease }) => JSON.stringify({ id, lease }));
    await this.#outcomes("releaseJobs", items);
    await this.#native.call("forgetWorker", { path: { worker: this.#worker } });
  }

  /** Items are JSON text already: results are serialised once. */
  async #outcomes(id: OperationId, items: readonly string[]): Promise<Refusals> {
    const refusals: (JobyardError | undefined)[] = [];
    for (const content of bodiesOf(items)) {
      const headers = { "Content-Type": "application/json" };
      const options: CallOptions & { content: string; headers: Record<string, string> } = {
        content,
        headers,
      };
      const response = await this.#native.raw(id, {}, options);
      const { data } = (await response.json()) as { readonly data: Schemas["RunOutcomes"] };
      for (const { error } of data.outcomes) {
        refusals.push(error === null ? undefined : new JobyardError(error.message, error));
      }
    }
    return refusals;
  }
}

const MAX_BATCH = 1000;
/** Well below what a server takes in one request. */
const MAX_CHARACTERS = 2_000_000;

function* bodiesOf(items: readonly string[]): Generator<string> {
  let some: string[] = [];
  let characters = 0;
  for (const item of items) {
    if (
      some.length === MAX_BATCH ||
      (some.length > 0 && characters + item.length > MAX_CHARACTERS)
    ) {
      yield `{"items":[${some.join()}]}`;
      some = [];
      characters = 0;
    }
    some.push(item);
    characters += item.length;
  }
  if (some.length > 0) yield `{"items":[${some.join()}]}`;
}
