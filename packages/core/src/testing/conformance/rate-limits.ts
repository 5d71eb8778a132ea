import { describe, expect, it } from "vitest";

import { useDriver } from "./driver.ts";
import type { EngineFactory } from "./engine.ts";

export function describeRateLimits(factory: EngineFactory): void {
  describe("rate limits", () => {
    const d = useDriver(factory);

    it("count down for each key, then refuse, until the time is over", async () => {
      const take = d.adapter.rateLimiter({ name: "calls", points: 3, seconds: 1 });
      const resetMs = expect.toSatisfy((ms: number) => ms >= 0 && ms <= 1000);
      const ending = performance.now() + 1000;
      expect(await take("ann")).toEqual({ allowed: true, remaining: 2, resetMs });
      expect(await take("ann")).toEqual({ allowed: true, remaining: 1, resetMs });
      expect(await take("bob")).toEqual({ allowed: true, remaining: 2, resetMs });
      expect(await take("ann")).toEqual({ allowed: true, remaining: 0, resetMs });
      // On a machine that is held up, the second may be over by now.
      const refused = [await take("ann"), await take("ann")];
      if (performance.now() < ending) {
        expect(refused).toEqual([
          { allowed: false, remaining: 0, resetMs },
          { allowed: false, remaining: 0, resetMs },
        ]);
      }
      await expect.poll(() => take("ann"), { timeout: 10_000 }).toMatchObject({ allowed: true });
    });

    it("are apart by name", async () => {
      const [calls, uploads] = ["calls", "uploads"].map((name) =>
        d.adapter.rateLimiter({ name, points: 1, seconds: 60 }),
      );
      expect(await calls?.("ann")).toMatchObject({ allowed: true, remaining: 0 });
      expect(await uploads?.("ann")).toMatchObject({ allowed: true, remaining: 0 });
      expect(await calls?.("ann")).toMatchObject({ allowed: false });
    });
  });

  describe("allowances", () => {
    const d = useDriver(factory);
    const limit = { name: "adds", points: 10, seconds: 3600 };
    const resetMs = expect.toSatisfy((ms: number) => ms > 3_000_000 && ms <= 3_600_000);

    it("give what is left of a key's points, or all or none, and take some back", async () => {
      const allowance = d.adapter.allowance(limit);
      expect(await allowance.take("ann", 6, false)).toEqual({ taken: 6, resetMs });
      expect(await allowance.take("ann", 6, true)).toEqual({ taken: 0, resetMs });
      expect(await allowance.take("ann", 6, false)).toEqual({ taken: 4, resetMs });
      expect(await allowance.take("ann", 1, false)).toEqual({ taken: 0, resetMs });
      expect(await allowance.take("bob", 11, true)).toEqual({ taken: 0, resetMs });
      expect(await allowance.take("bob", 10, true)).toEqual({ taken: 10, resetMs });
      await allowance.giveBack("ann", 3);
      await allowance.giveBack("ann", 0);
      expect(await allowance.take("ann", 5, false)).toEqual({ taken: 3, resetMs });
    });

    it("never give more than there is, whoever takes at the same time", async () => {
      const allowance = d.adapter.allowance(limit);
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, i) => allowance.take("ann", 1 + (i % 3), i % 2 === 0)),
      );
      const taken = answers.reduce((sum, answer) => sum + answer.taken, 0);
      expect(taken).toBeLessThanOrEqual(10);
      expect((await allowance.take("ann", 20, false)).taken).toBe(10 - taken);
    });
  });
}
