import { JobyardError, refusalOf } from "./errors.ts";

export interface ClientOptions {
  /** Where the server is, e.g. `http://localhost:3001`. */
  readonly baseURL: string;
  /** A JWT or an API token; a function is asked before each call. Not needed by an open server, as an empty one. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** In place of the global one. */
  readonly fetch?: typeof fetch;
  /** For one try of a call, ms. Default: 30,000. */
  readonly timeoutMs?: number;
  /** Further tries of a call that may be repeated. Default: 3. */
  readonly retries?: number;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** For one try, ms; default: the client's. */
  readonly timeoutMs?: number;
}

/** What `fetch` takes as a body. */
export type Content = NonNullable<RequestInit["body"]>;

export interface Params {
  readonly path?: Readonly<Record<string, string | number>> | undefined;
  readonly query?: object | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
}

export interface RequestOptions extends CallOptions {
  /** Whether the call may be made again when it is not known how the first one ended. */
  readonly repeatable?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is, in place of JSON. */
  readonly content?: Content;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;
/** Servers that ask for a longer pause are not asked again. */
const LONGEST_RETRY_AFTER_MS = 30_000;
/** Nothing was done, or a gateway does not know. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);

/** Calls with retries, timeouts and one kind of error. Routes read `GET /path/{parameter}`, behind `base`. */
export class Http {
  readonly #base: string;
  readonly #options: ClientOptions;
  readonly #fetch: typeof fetch;

  constructor(options: ClientOptions, base: string) {
    if (!/^https?:\/\//.test(options.baseURL)) {
      throw new TypeError(`baseURL must begin with http:// or https://, not ${options.baseURL}`);
    }
    this.#base = options.baseURL.replace(/\/+$/, "") + base;
    this.#options = options;
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** The answer's JSON. */
  async json<T>(route: string, params: Params = {}, options: RequestOptions = {}): Promise<T> {
    const [text, response] = await this.#tried(route, params, options, async (response) => {
      return [await response.text(), response] as const;
    });
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      const { status } = response;
      const message = `The answer of ${route} is not JSON: is baseURL a Jobyard server?`;
      throw new JobyardError(message, { code: "INVALID_ANSWER", status, cause });
    }
  }

  /** The answer as it comes: the timeout is for its beginning. */
  raw(route: string, params: Params = {}, options: RequestOptions = {}): Promise<Response> {
    return this.#tried(route, params, options, (response) => Promise.resolve(response));
  }

  async #tried<T>(
    route: string,
    params: Params,
    options: RequestOptions,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const [method, path] = route.split(" ") as [string, string];
    const url = this.#base + addressOf(path, params);
    const repeatable = options.repeatable ?? method === "GET";
    const { retries = 3 } = this.#options;
    for (let tries = 0; ; tries++) {
      try {
        return await this.#once(method, url, params.body, options, read);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof JobyardError) || !repeatable || tries >= retries) throw error;
        const pauseMs = pauseBefore(error, tries);
        if (pauseMs === undefined) throw error;
        await pause(pauseMs, options.signal);
      }
    }
  }

  async #once<T>(
    method: string,
    url: string,
    body: unknown,
    options: RequestOptions,
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    const { signal, content } = options;
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? 30_000;
    const { token: given } = this.#options;
    const token = typeof given === "function" ? await given() : given;
    signal?.throwIfAborted();
    const lateness = new AbortController();
    const timer = setTimeout(() => lateness.abort(), timeoutMs);
    try {
      const init: RequestInit & { duplex?: "half" } = {
        method,
        signal: signal ? AbortSignal.any([signal, lateness.signal]) : lateness.signal,
        headers: {
          ...(token ? { Authorization: `Bearer ${token}` } : {}),
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          ...options.headers,
        },
      };
      if (content !== undefined) init.body = content;
      else if (body !== undefined) init.body = JSON.stringify(body);
      if (content instanceof ReadableStream) init.duplex = "half";
      const response = await this.#fetch(url, init);
      if (!response.ok) throw refusalOf(response, await response.text());
      return await read(response);
    } catch (cause) {
      if (signal?.aborted === true) throw signal.reason;
      if (cause instanceof JobyardError) throw cause;
      const late = lateness.signal.aborted;
      const message = late
        ? `No answer from ${url} within ${timeoutMs} ms`
        : `Cannot reach ${url}: ${reasonOf(cause)}`;
      throw new JobyardError(message, { code: late ? "TIMEOUT" : "NETWORK_ERROR", cause });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Ms until the next try; undefined: it is no use. */
function pauseBefore({ status, retryAfter }: JobyardError, tries: number): number | undefined {
  if (status !== 0 && !TRANSIENT.has(status)) return undefined;
  if (retryAfter !== undefined) {
    return retryAfter * 1000 > LONGEST_RETRY_AFTER_MS ? undefined : retryAfter * 1000;
  }
  return Math.min(FIRST_PAUSE_MS * 2 ** tries, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
}

/** @throws the signal's reason */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const over = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", over);
      if (signal?.aborted === true) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(over, ms);
    if (signal?.aborted === true) over();
    else signal?.addEventListener("abort", over);
  });
}

function addressOf(path: string, { path: given = {}, query = {} }: Params): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(given[name] ?? "");
    // Only a file's path has slashes that are to stay.
    const segments = name === "path" ? value.split("/") : [value];
    if (segments.some((segment) => /^\.{0,2}$/.test(segment))) {
      const wrong = new TypeError(`${name} cannot be ${JSON.stringify(value)}`);
      throw Object.assign(wrong, { code: "ERR_INVALID_ARG_VALUE" });
    }
    return segments.map(encodeURIComponent).join("/");
  });
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query) as [string, unknown][]) {
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (one !== undefined && one !== null) search.append(name, textOf(one));
    }
  }
  return search.size === 0 ? filled : `${filled}?${search.toString()}`;
}

function textOf(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value);
}

/** `fetch` says what is wrong in the cause of its error. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause, message } = error;
  if (cause instanceof Error) return reasonOf(cause);
  const { code } = error as { readonly code?: unknown };
  return message === "" && typeof code === "string" ? code : message;
}
