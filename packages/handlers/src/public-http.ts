import type { LookupAddress, LookupOptions } from "node:dns";
import { lookup as lookupName } from "node:dns";
import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { Agent, buildConnector, request, type Dispatcher } from "undici";

const CONNECT_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 30_000;
/** Without a byte for so long, the other side is taken for gone. */
const BODY_TIMEOUT_MS = 30_000;
const MOST_REDIRECTS = 5;

/** The address is not one that this process will talk to. */
export class AddressRefused extends Error {
  override readonly name = "AddressRefused";
  readonly code = "ADDRESS_REFUSED";
}

/** Whether an IP address is of the public Internet: not private, loopback, link-local, shared, tunnelled… */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  // An IPv4 address written as IPv6 (::ffff:10.0.0.1) counts as what it is.
  return ipaddr.process(address).range() === "unicast";
}

export interface PublicHttpOptions {
  /** Default: false. */
  readonly allowPrivate?: boolean;
  /** Which addresses are public, and what names lead to. Default: those of the Internet. */
  readonly isPublic?: (address: string) => boolean;
  readonly lookup?: typeof lookupName;
}

/** Requests that reach public addresses only, judged by the address that is really dialled. */
export class PublicHttp {
  readonly #agent: Agent;

  constructor(options: PublicHttpOptions = {}) {
    const { allowPrivate = false, isPublic = isPublicAddress, lookup = lookupName } = options;
    const timeouts = { headersTimeout: HEADERS_TIMEOUT_MS, bodyTimeout: BODY_TIMEOUT_MS };
    this.#agent = new Agent({
      ...timeouts,
      connect: allowPrivate ? { timeout: CONNECT_TIMEOUT_MS } : publicConnector(isPublic, lookup),
    });
  }

  /**
   * GETs a URL, following up to five redirects. The caller reads or destroys the body.
   *
   * @throws {AddressRefused}, or undici's error
   */
  async get(url: string, signal?: AbortSignal): Promise<Dispatcher.ResponseData> {
    let target = new URL(url);
    for (let redirects = 0; ; redirects++) {
      if (target.protocol !== "http:" && target.protocol !== "https:") {
        throw new AddressRefused(`${target.protocol} addresses are not fetched`);
      }
      if (target.username !== "" || target.password !== "") {
        throw new AddressRefused("Addresses with a user name or password are not fetched");
      }
      const response = await request(target, {
        dispatcher: this.#agent,
        headers: { "accept-encoding": "identity" },
        ...(signal && { signal }),
      });
      const location = response.headers["location"];
      const redirected = [301, 302, 303, 307, 308].includes(response.statusCode);
      if (!redirected || typeof location !== "string") return response;
      response.body.on("error", () => undefined).destroy();
      if (redirects === MOST_REDIRECTS) {
        throw new AddressRefused(`More than ${MOST_REDIRECTS} redirects`);
      }
      if (!URL.canParse(location, target.href))
        throw new AddressRefused("Redirected to no address");
      target = new URL(location, target);
    }
  }

  /**
   * POSTs to a URL; redirects are not followed. The caller reads or destroys the body.
   *
   * @throws {AddressRefused}, or undici's error
   */
  async post(
    url: string,
    options: {
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
      readonly signal: AbortSignal;
    },
  ): Promise<Dispatcher.ResponseData> {
    return request(url, { ...options, method: "POST", dispatcher: this.#agent });
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

function publicConnector(
  isPublic: (address: string) => boolean,
  resolve: typeof lookupName,
): buildConnector.connector {
  const connect = buildConnector({
    timeout: CONNECT_TIMEOUT_MS,
    lookup: (hostname, options, callback) => {
      lookupPublic({ hostname, options, isPublic, resolve }, callback);
    },
  });
  return (options, callback) => {
    // A literal address is dialled without a lookup.
    const literal = options.hostname.replace(/^\[(.*)\]$/, "$1");
    if (isIP(literal) !== 0 && !isPublic(literal)) {
      callback(refused(literal), null);
      return;
    }
    connect(options, (error, socket) => {
      if (error !== null) {
        callback(error, null);
        return;
      }
      const dialled = socket.remoteAddress;
      if (dialled !== undefined && isPublic(dialled)) {
        callback(null, socket);
        return;
      }
      socket.destroy();
      callback(refused(dialled ?? "an unknown address"), null);
    });
  };
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;

/** A name that leads to any address of the private kind is refused as a whole. */
function lookupPublic(
  asked: {
    readonly hostname: string;
    readonly options: LookupOptions;
    readonly isPublic: (address: string) => boolean;
    readonly resolve: typeof lookupName;
  },
  callback: LookupCallback,
): void {
  const { hostname, options, isPublic, resolve } = asked;
  resolve(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) {
      callback(error, []);
      return;
    }
    const inner = addresses.find(({ address }) => !isPublic(address));
    const [first] = addresses;
    if (inner !== undefined || first === undefined) {
      callback(refused(hostname), []);
    } else if (options.all === true) {
      callback(null, addresses);
    } else {
      callback(null, first.address, first.family);
    }
  });
}

function refused(host: string): AddressRefused {
  return new AddressRefused(`${host} is not a public address`);
}
