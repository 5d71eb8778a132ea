import type { LookupAddress, LookupOptions } from "node:dns";
import { isPublicAddress, PublicHttp } from "@jobyard/handlers";
import { createLogger } from "@jobyard/core/process";
import { expect, onTestFinished, test } from "vitest";
import { listDeliveries } from "../../src/webhooks/deliveries.ts";
import { Webhooks } from "../../src/webhooks/webhooks.ts";
import { queueOn } from "../flashq/queue-on.ts";
import { Receiver, type Respond } from "./receiver.ts";

/** Two of this machine's addresses: the one stands for the public Internet, the other is private as ever. */
const PUBLIC = "127.0.0.2";
const PRIVATE = "127.0.0.1";

/** At the same port, which has to be free at both addresses. */
async function receivers(): Promise<{ readonly outer: Receiver; readonly inner: Receiver }> {
  for (;;) {
    const outer = await Receiver.start(undefined, { host: PUBLIC });
    const at = { host: PRIVATE, port: outer.port };
    const inner = await Receiver.start(undefined, at).catch(() => undefined);
    if (inner !== undefined) return { outer, inner };
  }
}

/** Receivers at both addresses, and deliveries to them. */
async function world(names: Readonly<Record<string, readonly (readonly string[])[]>>) {
  const { outer, inner } = await receivers();
  const asked = new Map<string, number>();
  /** What a name leads to, by how often it was asked for. */
  const lookup = (
    name: string,
    _: LookupOptions,
    told: (error: Error | null, addresses: LookupAddress[]) => void,
  ): void => {
    const nth = asked.get(name) ?? 0;
    asked.set(name, nth + 1);
    const answers = names[name] ?? [];
    const addresses = answers[Math.min(nth, answers.length - 1)] ?? [];
    told(
      addresses.length === 0 ? new Error(`${name} is not known`) : null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
  };
  const queue = await queueOn("embedded");
  const http = new PublicHttp({
    isPublic: (address) => address === PUBLIC || isPublicAddress(address),
    lookup: lookup as never,
  });
  const log = createLogger("silent", false);
  const webhooks = new Webhooks({ queue, http, log, retry: { attempts: 3, backoffMs: 10 } });
  webhooks.start();
  onTestFinished(() => webhooks.stop(0));
  const jobs = queue.of("default");
  return {
    inner,
    outer,
    asked,
    /** How the deliveries of one event to that host and path went, once they are over. */
    async deliver(host: string, path = "/") {
      const { id } = await jobs.putWebhook({
        url: `http://${host}:${outer.port}${path}`,
        events: ["job.pushed"],
        queue: null,
        secret: null,
        shape: "flashq",
        enabled: true,
      });
      await jobs.add({ queue: "q", data: 1 });
      const listed = async () => (await listDeliveries(queue, id, { limit: 10 })).deliveries;
      await expect
        .poll(async () => (await listed()).map(({ state }) => state))
        .toEqual([expect.stringMatching(/^(delivered|failed)$/)]);
      await jobs.deleteWebhook(id);
      return (await listed())[0]!;
    },
  };
}

const refusal = expect.stringContaining("is not a public address");
/** Each attempt over a connection of its own. */
const refuse: Respond = (_, response) =>
  response.writeHead(500, { Connection: "close" }).end("not now");

test("a name that leads to a public address first and to a private one later reaches the first alone", async () => {
  const { outer, inner, asked, deliver } = await world({ "rebinds.test": [[PUBLIC], [PRIVATE]] });
  outer.respond(refuse);
  const { attempts, state } = await deliver("rebinds.test");
  expect(attempts).toMatchObject([{ status: 500 }, { status: null, error: refusal }]);
  expect([state, outer.got.length, inner.got.length]).toEqual(["failed", 1, 0]);
  // Each is dialled as it was judged: there is no second look between the two.
  expect(asked.get("rebinds.test")).toBe(2);
});

test.each<[string, readonly string[]]>([
  ["a private address among public ones", [PUBLIC, PRIVATE]],
  ["a private IPv4 address as IPv6", ["::ffff:127.0.0.1"]],
  ["the same in hexadecimal", ["::ffff:7f00:1"]],
  ["an address for translation to IPv4", ["64:ff9b::7f00:1"]],
  ["loopback of IPv6", ["::1"]],
  ["the cloud's own service", ["169.254.169.254"]],
])("a name that leads to %s is given up at once", async (_, addresses) => {
  const { outer, inner, deliver } = await world({ "inner.test": [addresses] });
  expect(await deliver("inner.test")).toMatchObject({
    state: "failed",
    attempts: [{ status: null, error: refusal }],
  });
  expect([outer.got, inner.got]).toEqual([[], []]);
});

test.each([
  "127.0.0.1",
  "127.1",
  "2130706433",
  "0x7f000001",
  "0x7f.1",
  "0177.0.0.1",
  "0",
  "[::1]",
  "[::]",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[0:0:0:0:0:ffff:127.0.0.1]",
  "[64:ff9b::127.0.0.1]",
  "[fe80::1]",
  "[fd00::1]",
  "10.0.0.1",
  "100.64.0.1",
  "169.254.169.254",
])("the address %s is not dialled", async (host) => {
  const { outer, inner, asked, deliver } = await world({});
  expect(await deliver(host)).toMatchObject({
    state: "failed",
    attempts: [{ status: null, error: refusal }],
  });
  expect([outer.got.length, inner.got.length, asked.size]).toEqual([0, 0, 0]);
});

test.each([301, 302, 303, 307, 308])(
  "a redirect %i to a private address is not followed",
  async (status) => {
    const { outer, inner, asked, deliver } = await world({ "outer.test": [[PUBLIC]] });
    outer.respond((_, response) => response.writeHead(status, { Location: inner.url }).end());
    const { state, attempts } = await deliver("outer.test");
    const error = `The receiver answered ${status}: redirects are not followed`;
    expect([state, attempts.map((one) => one.error)]).toEqual(["failed", [error, error, error]]);
    expect([outer.got.length, inner.got.length]).toEqual([3, 0]);
    expect([...asked.keys()]).toEqual(["outer.test"]);
  },
);

test("a redirect to a public address is not followed either", async () => {
  const { outer, deliver } = await world({ "outer.test": [[PUBLIC]] });
  outer.respond(({ path }, response) =>
    path === "/elsewhere"
      ? response.end()
      : response.writeHead(307, { Location: "/elsewhere" }).end(),
  );
  expect(await deliver("outer.test", "/here")).toMatchObject({ state: "failed" });
  expect(new Set(outer.got.map(({ path }) => path))).toEqual(new Set(["/here"]));
});
