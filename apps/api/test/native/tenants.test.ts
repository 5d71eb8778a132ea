import { describe, expect, test } from "vitest";
import { operations } from "../../src/dialects/native/operations.ts";
import { engines } from "../engines.ts";
import { examples } from "../../src/dialects/native/examples.ts";
import { type Claimed, guarded, refusal, type Reply, token } from "./client.ts";

describe.each(engines)("tenants on %s", (engine) => {
  test("another tenant's things answer as what never was, on every call that names one", async () => {
    const { as } = await guarded({ engine });
    const acme = await as({ tenantId: "acme" });
    const beta = await as({ tenantId: "beta" });
    const id = await acme.add({ queue: "vault", data: { gold: 1 } });
    const job = { queue: "vault" };
    await acme.data("POST", "/schedules", { name: "count", cron: "0 0 * * *", job });
    const hook = { url: "https://acme.example.com/", events: ["job.failed"] };
    const webhook = await acme.data("POST", "/webhooks", hook);
    const own: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      "/jobs/{id}": { id, name: "x.csv" },
      "/queues/{queue}": { queue: "vault" },
      "/schedules/{name}": { name: "count" },
      "/webhooks/{id}": { id: webhook.id, delivery: "1" },
    };
    const never: typeof own = {
      "/jobs/{id}": { id: "70000001", name: "x.csv" },
      "/queues/{queue}": { queue: "never" },
      "/schedules/{name}": { name: "never" },
      "/webhooks/{id}": { id: "70000001", delivery: "1" },
    };
    // These make the queue if need be: beta's own of that name.
    const making = new Set(["configureQueue", "pauseQueue", "resumeQueue", "setIncomingSecret"]);
    let tried = 0;
    for (const { method, path, operationId } of Object.values(operations)) {
      const address = path.replace("/api/native", "");
      const kind = Object.keys(own).find((start) => address.startsWith(start));
      if (kind === undefined || making.has(operationId)) continue;
      const asked = async (values: typeof own): Promise<unknown> => {
        const named = values[kind] ?? {};
        const at = address.replaceAll(/\{(\w+)\}/g, (_, name: string) => named[name] ?? "");
        const { status, body } = await beta.call(method.toUpperCase(), at);
        const { timestamp: _, ...answer } = body;
        const text = JSON.stringify(answer);
        return [status, Object.values(named).reduce((all, one) => all.replaceAll(one, "?"), text)];
      };
      const theirs = await asked(own);
      expect([operationId, theirs]).toEqual([operationId, await asked(never)]);
      expect([operationId, theirs]).toEqual([operationId, [404, expect.any(String)]]);
      tried++;
    }
    expect(tried).toBeGreaterThan(20);
    expect((await beta.data("GET", "/jobs")).total).toBe(0);
    expect((await beta.data("GET", "/queues")).items).toEqual([]);
    const runs = { items: [{ id, lease: "1" }] };
    for (const step of ["ack", "renew", "release"]) {
      const { outcomes } = await beta.data("POST", `/work/${step}`, runs);
      expect(outcomes).toMatchObject([{ error: { code: "JOB_NOT_FOUND" } }]);
    }
    expect((await beta.data("POST", "/work/pull", { queues: ["vault"] })).items).toEqual([]);
    expect(await acme.data("GET", `/jobs/${id}`)).toMatchObject({ state: "waiting" });
  });

  test("a token for all tenants sees all, or the one it names; nobody else can name one", async () => {
    const { as } = await guarded({ engine });
    const acme = await as({ tenantId: "acme" });
    const all = await as({ tenantId: "*" });
    const id = await acme.add({ queue: "vault" });
    const added = await all.add({ queue: "vault" });
    const { items } = await all.data("GET", "/jobs?order=asc");
    expect(items).toMatchObject([
      { id, tenant: "acme" },
      { id: added, tenant: "default" },
    ]);
    expect(await all.data("GET", "/jobs?tenant=acme")).toMatchObject({ total: 1 });
    expect(await all.data("GET", "/stats?tenant=acme")).toMatchObject({ counts: { waiting: 1 } });
    expect((await all.data("GET", "/queues")).items).toMatchObject([
      { name: "vault", tenant: "acme" },
      { name: "vault", tenant: "default" },
    ]);
    await all.data("POST", "/queues/vault/pause?tenant=acme");
    expect((await all.data("GET", "/queues")).items).toMatchObject([
      { tenant: "acme", paused: true },
      { tenant: "default", paused: false },
    ]);
    expect(await all.data("POST", `/jobs/${id}/cancel`)).toMatchObject({ state: "cancelled" });
    expect(await acme.data("GET", "/jobs?tenant=acme")).toMatchObject({ total: 1 });
    for (const path of ["/jobs", "/queues", "/stats", "/schedules", "/webhooks", "/errors"]) {
      expect(await acme.call("GET", `${path}?tenant=default`)).toMatchObject(
        refusal(403, "AUTHORIZATION_ERROR"),
      );
    }
    expect(await acme.call("POST", "/jobs", { queue: "q", data: { tenantId: "beta" } }))
      // Nor in the data.
      .toMatchObject(refusal(400, "INVALID_JOB_DATA", { errors: [{ field: "tenantId" }] }));
  });

  test("whatever makes, takes or keeps something for a tenant does so for the one that is named", async () => {
    const { as, url } = await guarded({ engine });
    const acme = await as({ tenantId: "acme" });
    const all = await as({ tenantId: "*" });
    const job = { queue: "vault" };
    const schedule = { name: "count", cron: "0 0 * * *", job };
    const hook = { url: "https://acme.example.com/", events: ["job.failed"] };
    expect(await all.data("POST", "/schedules?tenant=acme", schedule)).toMatchObject({
      tenant: "acme",
    });
    expect(await all.data("POST", "/webhooks?tenant=acme", hook)).toMatchObject({ tenant: "acme" });
    await all.data("POST", "/jobs?tenant=acme", job);
    await all.data("POST", "/jobs/bulk?tenant=acme", { jobs: [job, job] });
    expect((await acme.data("GET", "/schedules")).items).toMatchObject([{ name: "count" }]);
    expect((await acme.data("GET", "/webhooks")).items).toHaveLength(1);
    expect(await acme.data("GET", "/jobs")).toMatchObject({ total: 3 });
    expect((await all.data("GET", "/schedules?tenant=default")).items).toEqual([]);

    await all.add({ queue: "vault", priority: -9 });
    const { items } = await all.data("POST", "/work/pull?tenant=acme", {
      queues: ["vault"],
      limit: 10,
    });
    expect(items).toHaveLength(3);
    const runs = { items: items.map(({ id, lease }: Claimed) => ({ id, lease })) };
    const elsewhere = await all.data("POST", "/work/ack?tenant=default", runs);
    expect(elsewhere.outcomes).toMatchObject([{ error: { code: "JOB_NOT_FOUND" } }, {}, {}]);
    const { outcomes } = await all.data("POST", "/work/ack?tenant=acme", runs);
    expect(outcomes).toMatchObject([{ state: "completed" }, {}, {}]);
    await all.data("PUT", "/workers/digger?tenant=acme", { queues: ["vault"], concurrency: 1 });
    expect((await acme.data("GET", "/workers")).items).toMatchObject([{ id: "digger" }]);

    const Authorization = `Bearer ${await token({ tenantId: "*" })}`;
    const file = { method: "PUT", headers: { Authorization }, body: "1 bar" };
    expect((await fetch(`${url}/files/gold.txt?tenant=acme`, file)).status).toBe(200);
    expect((await acme.data("GET", "/files")).items).toMatchObject([{ name: "gold.txt" }]);
    expect((await all.data("GET", "/files")).items).toEqual([]);
    expect((await all.data("GET", "/files?tenant=acme")).items).toHaveLength(1);
  });

  test("every call that concerns a tenant takes the name of it from a token for all alone", async () => {
    const { as } = await guarded({ engine });
    const acme = await as({ tenantId: "acme" });
    const ofNone = new Set(["whoami", "getHealth", "listJobTypes", "previewSchedule"]);
    for (const { method, path, operationId, "x-access": access } of Object.values(operations)) {
      if (ofNone.has(operationId) || access === "system") continue;
      const address = path.replace("/api/native", "").replaceAll(/\{\w+\}/g, "1");
      const { body = {} } = examples[operationId] ?? {};
      const ask = (tenant: string): Promise<Reply> =>
        acme.call(
          method.toUpperCase(),
          `${address}?tenant=${tenant}`,
          method === "get" ? undefined : body,
        );
      const told = async (tenant: string) => [operationId, await ask(tenant)] as const;
      expect(await told("default")).toMatchObject([
        operationId,
        refusal(403, "AUTHORIZATION_ERROR"),
      ]);
      expect(await told("a%20b")).toMatchObject([operationId, refusal(400, "INVALID_JOB_DATA")]);
    }
  });
});
