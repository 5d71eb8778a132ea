import { describe, expect, it } from "vitest";

import { goodHealth } from "../../queue-adapter.ts";
import { expectRejected, only, useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeWebhooks(factory: EngineFactory): void {
  describe("webhooks", () => {
    const d = useDriver(factory);
    const hook = {
      tenant: "default",
      url: "https://example.com/hook?a=1",
      events: ["job.completed", "job.failed"],
      queue: "work",
      secret: "s3cret",
      shape: "flashq",
      enabled: true,
    };

    it("are kept as they are, under an id of their own", async () => {
      const first = await d.adapter.putWebhook(hook);
      expect(first).toEqual({ ...hook, id: first.id, createdAt: d.now(), health: goodHealth });
      expect(first.id).toBeGreaterThan(0);
      expect(Number.isSafeInteger(first.id)).toBe(true);
      const second = await d.adapter.putWebhook({ ...hook, queue: null, secret: null, events: [] });
      expect(second.id).not.toBe(first.id);
      const listed = await d.adapter.listWebhooks({ tenant: "default" });
      expect(listed.toSorted((a, b) => a.id - b.id)).toEqual([first, second]);
    });

    it("can be changed, and keep their id and age", async () => {
      const { id, createdAt } = await d.adapter.putWebhook(hook);
      await d.advance(1000);
      const changed = { ...hook, id, enabled: false, url: "https://example.org/" };
      const kept = { ...changed, createdAt, health: goodHealth };
      expect(await d.adapter.putWebhook(changed)).toEqual(kept);
      expect(only(await d.adapter.listWebhooks({ tenant: "default" }))).toEqual(kept);
      await expectRejected(d.adapter.putWebhook({ ...hook, id: id + 1000 }), "WEBHOOK_NOT_FOUND");
    });

    it("can be deleted, and their ids do not come back", async () => {
      const { id } = await d.adapter.putWebhook(hook);
      expect(await d.adapter.deleteWebhook({ tenant: "default", id: id + 1 })).toBe(false);
      expect(await d.adapter.deleteWebhook({ tenant: "default", id })).toBe(true);
      expect(await d.adapter.deleteWebhook({ tenant: "default", id })).toBe(false);
      expect(await d.adapter.listWebhooks({ tenant: "*" })).toEqual([]);
      expect((await d.adapter.putWebhook(hook)).id).not.toBe(id);
    });

    it("keep what their deliveries have shown until they are put anew", async () => {
      const { id } = await d.adapter.putWebhook(hook);
      const other = await d.adapter.putWebhook(hook);
      const verdict = { failingSince: d.now(), givenUp: 3, disabled: "It is gone" };
      await d.adapter.noteWebhook({ id, verdict });
      await d.adapter.noteWebhook({ id: id + 1000, verdict, dropped: 1 });
      const [noted, untouched] = await d.adapter.listWebhooks({ tenant: "default" });
      expect(noted).toEqual({
        ...hook,
        id,
        createdAt: d.now(),
        health: { ...verdict, dropped: 0 },
      });
      expect(untouched).toEqual(other);
      await d.adapter.putWebhook({ ...hook, id });
      const [anew] = await d.adapter.listWebhooks({ tenant: "default" });
      expect(anew?.health).toEqual(goodHealth);
    });

    it("count what they were not told of, whatever their deliveries show", async () => {
      const { id } = await d.adapter.putWebhook(hook);
      const health = async () => only(await d.adapter.listWebhooks({ tenant: "*" })).health;
      await Promise.all([1, 20, 300].map((dropped) => d.adapter.noteWebhook({ id, dropped })));
      expect(await health()).toEqual({ ...goodHealth, dropped: 321 });
      const verdict = { failingSince: d.now(), givenUp: 7, disabled: null };
      await d.adapter.noteWebhook({ id, verdict });
      expect(await health()).toEqual({ ...verdict, dropped: 321 });
      await d.adapter.noteWebhook({ id, dropped: 4000 });
      expect(await health()).toEqual({ ...verdict, dropped: 4321 });
    });

    it("belong to their tenant", async () => {
      const { id } = await d.adapter.putWebhook(hook);
      const theirs = await d.adapter.putWebhook({ ...hook, tenant: "acme" });
      expect(await d.adapter.listWebhooks({ tenant: "acme" })).toEqual([theirs]);
      expect(await d.adapter.listWebhooks({ tenant: "*" })).toHaveLength(2);
      expect(await d.adapter.deleteWebhook({ tenant: "acme", id })).toBe(false);
      await expectRejected(
        d.adapter.putWebhook({ ...hook, tenant: "acme", id }),
        "WEBHOOK_NOT_FOUND",
      );
      expect(only(await d.adapter.listWebhooks({ tenant: "default" }))).toMatchObject(hook);
      expect(await d.adapter.deleteWebhook({ tenant: "*", id })).toBe(true);
    });
  });
}
