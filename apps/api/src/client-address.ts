import type { IncomingMessage } from "node:http";
import { BlockList, isIP } from "node:net";
import type { TrustedProxies } from "@jobyard/core";

/** Where a request comes from. `X-Forwarded-For` counts as far as trusted proxies have written it. */
export type ClientAddress = (request: IncomingMessage) => string;

export function clientAddress(trusted: TrustedProxies | null): ClientAddress {
  const isProxy = trusted === null ? () => false : judgeOf(trusted);
  return ({ socket, headers }) => {
    const forwarded = [headers["x-forwarded-for"] ?? []].flat().join(",");
    const hops = forwarded.split(",").map((hop) => plain(hop.trim()));
    let address = plain(socket.remoteAddress ?? "");
    // From us outwards: each proxy that is trusted tells who called it.
    for (let distance = 1; isProxy(address, distance); distance++) {
      const before = hops.pop();
      if (before === undefined || isIP(before) === 0) break;
      address = before;
    }
    return address;
  };
}

type Judge = (address: string, distance: number) => boolean;

function judgeOf(trusted: TrustedProxies): Judge {
  if ("hops" in trusted) return (_, distance) => distance <= trusted.hops;
  const proxies = new BlockList();
  for (const range of trusted.ranges) {
    const [address = "", bits] = range.split("/");
    proxies.addSubnet(address, Number(bits), familyOf(address));
  }
  return (address) => isIP(address) !== 0 && proxies.check(address, familyOf(address));
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}

/** An IPv4 address as itself, also where the socket speaks IPv6; without a port. */
function plain(address: string): string {
  const bare = address.replace(/^\[(.*)\](?::\d+)?$/, "$1").replace(/^::ffff:(?=\d+\.)/i, "");
  return isIP(bare) === 0 ? bare.replace(/:\d+$/, "") : bare;
}
