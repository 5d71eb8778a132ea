import { expect, test } from "vitest";
import { call, startApi, testRedis } from "../running-process.ts";
import { temporaryFolder } from "../running-server.ts";
import { Receiver } from "./receiver.ts";

test("several processes share one outbox: each event is told once, and all of them if one is killed", async () => {
  const receiver = await Receiver.start((_, response) => {
    // So that some are under way whenever a process is killed.
    setTimeout(() => response.end(), 20);
  });
  const { url: REDIS_URL } = await testRedis();
  const apis = await Promise.all(
    Array.from({ length: 3 }, async () =>
      startApi({
        REDIS_URL,
        DATA_DIR: await temporaryFolder(),
        WEBHOOK_ALLOW_PRIVATE: "true",
        INLINE_WORKER: "false",
        LOG_LEVEL: "info",
      }),
    ),
  );
  const urls = apis.map((api) => api.urls[0] ?? "");
  const [first = ""] = urls;
  const hook = { url: receiver.url, events: ["job.pushed"] };
  expect((await call(first, "POST", "/webhooks", hook)).status).toBe(200);

  const push = async (count: number, to: readonly string[]): Promise<void> => {
    const pushes = Array.from({ length: count }, (_, i) =>
      call(to[i % to.length] ?? "", "POST", "/queues/mail/jobs", { data: i }),
    );
    for (const { status } of await Promise.all(pushes)) expect(status).toBe(200);
  };
  const told = (): readonly number[] => receiver.got.map(({ body }) => body.job_id as number);
  /** No event and no delivery is left: nothing can be told a second time any more. */
  const isQuiet = async (url: string): Promise<boolean> => {
    const page = await (await fetch(`${url}/metrics/prometheus`)).text();
    const [, outbox] = /^jobyard_webhook_outbox_events (\d+)$/m.exec(page) ?? [];
    const list = await call(url, "GET", "/api/native/webhooks");
    const [{ id }] = (list.body.data as unknown as { items: [{ id: string }] }).items;
    const path = `/api/native/webhooks/${id}/deliveries?state=pending`;
    const pending = await call(url, "GET", path);
    const { items } = pending.body.data as unknown as { items: readonly unknown[] };
    return outbox === "0" && items.length === 0;
  };

  await push(150, urls);
  await receiver.has(150);
  await expect.poll(() => isQuiet(first)).toBe(true);
  expect(told()).toHaveLength(150);
  expect(new Set(told()).size).toBe(150);

  const [victim, ...others] = apis;
  const pushing = push(150, urls.slice(1));
  await receiver.has(180);
  victim?.child.kill("SIGKILL");
  await pushing;
  await expect.poll(() => new Set(told()).size, { timeout: 60_000 }).toBe(300);
  expect(others.map(({ child }) => child.exitCode)).toEqual([null, null]);
});
