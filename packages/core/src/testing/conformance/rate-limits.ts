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
}
