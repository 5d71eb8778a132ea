import { describe, expect, test } from "vitest";
import { operations } from "../../src/dialects/native/operations.ts";
import { engines } from "../engines.ts";
import { guarded, refusal } from "./client.ts";

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
});
