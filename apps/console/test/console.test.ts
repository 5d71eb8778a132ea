import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { engines } from "../../api/test/engines.ts";
import { Viewer } from "./browser.ts";
import { seed, type Seeded } from "./seed.ts";
import { type Client, startYard, tokenOf, type Yard } from "./yard.ts";

const MAX_SCRIPT_BYTES = 150_000;

describe.each(engines)("the console on %s", (engine) => {
  let yard: Yard;
  let client: Client;
  let seeded: Seeded;
  let viewer: Viewer;
  beforeAll(async () => {
    yard = await startYard(engine);
    client = await yard.client();
    seeded = await seed(client);
    viewer = await Viewer.of(yard);
  }, 60_000);
  afterAll(async () => {
    await viewer?.close();
    await yard?.stop();
  });

  /** As it is, in the dark and on a telephone: nobody is kept out of it, and nothing sticks out. */
  const inspect = async (path: string, name: string, ready: string): Promise<void> => {
    for (const [kind, look] of [
      ["light", {}],
      ["dark", { dark: true }],
      ["narrow", { width: 375, language: "es-ES" }],
    ] as const) {
      // Layout and contrast are the same on each engine.
      if (engine === "redis" && kind !== "light") continue;
      const other = await Viewer.of(yard, look);
      const page = await other.open(path);
      await page.getByText(ready).first().waitFor();
      await other.picture(`${name}-${kind}`);
      expect(await other.barriers(), `${name}, ${kind}`).toEqual([]);
      expect(await other.overflow(), `${name}, ${kind}`).toBeLessThanOrEqual(0);
      expect(other.problems, `${name}, ${kind}`).toEqual([]);
      await other.close();
    }
  };

  test("the overview says what needs attention, and is live", async () => {
    const page = await viewer.open("/");
    const attention = page.locator(".attention");
    await attention.getByText("3 jobs wait, and no worker takes them").waitFor();
    await attention.getByText("of its jobs fail: 8 in the last 5 minutes").waitFor();
    await page.getByText("Live").waitFor();
    const active = page.locator(".tiles div").filter({ hasText: "active" }).locator("dd");
    await expect.poll(() => active.textContent()).toBe("1");
    const { items } = await client.call("pullJobs", { body: { queues: ["letters"] } });
    await expect.poll(() => active.textContent(), { timeout: 8000 }).toBe("2");
    await client.call("releaseJobs", {
      body: { items: items.map(({ id, lease }) => ({ id, lease })) },
    });
    expect(viewer.problems).toEqual([]);
    await inspect("/", "overview", "thumbnails");
  });

  test("queues are paused, resumed, limited and drained", async () => {
    const page = await viewer.open("/queues");
    const row = page.locator("tr").filter({ hasText: "letters" });
    await row.getByRole("button", { name: "Pause" }).click();
    await row.getByText("paused").waitFor();
    expect(await client.getQueue("letters").status()).toMatchObject({ paused: true });
    await row.getByRole("button", { name: "Resume" }).click();
    await row.getByRole("button", { name: "Pause" }).waitFor();

    await row.getByRole("button", { name: "Limits" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Starts a second").fill("5");
    await dialog.getByLabel("Searchable paths").fill("data.a\nnot a path!");
    await dialog.getByRole("button", { name: "Save" }).click();
    // Why it was refused; nothing has changed.
    await dialog.getByRole("alert").waitFor();
    expect(await client.getQueue("letters").status()).toMatchObject({ rateLimit: null });
    await dialog.getByLabel("Searchable paths").fill("data.a");
    await dialog.getByRole("button", { name: "Save" }).click();
    await row.getByText("5/s").waitFor();
    expect(await client.getQueue("letters").status()).toMatchObject({
      rateLimit: 5,
      indexedPaths: ["data.a"],
    });

    const before = (await client.getQueue("letters").status()).counts.waiting;
    expect(before).toBeGreaterThan(0);
    await row.getByRole("button", { name: "Drain" }).click();
    await dialog.getByRole("button", { name: "Drain" }).click();
    await dialog.getByText(`${before} of ${before}`).waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    expect((await client.getQueue("letters").status()).counts.waiting).toBe(0);
    for (let n = 0; n < 12; n++) await client.jobs.add("letters", { name: `letter ${n}` });
    await inspect("/queues", "queues", "thumbnails");
  });

  test("settings, and the language of the viewer", async () => {
    const page = await viewer.open("/settings");
    await page.getByText("noor").waitFor();
    await page.getByLabel("Language").selectOption("es");
    await page.getByRole("heading", { name: "Ajustes", exact: true }).waitFor();
    expect(await page.locator("html").getAttribute("lang")).toBe("es");
    await page.getByLabel("Idioma").selectOption("en");
    await inspect("/settings", "settings", "noor");
  });

  test("goes everywhere by the keyboard", async () => {
    const page = await viewer.open("/");
    await page.getByText("Live").waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.getByRole("heading", { name: "Queues" }).waitFor();
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").fill("pause invo");
    await page.getByRole("option", { name: "Pause: invoices" }).waitFor();
    await page.keyboard.press("Enter");
    await expect.poll(async () => (await client.getQueue("invoices").status()).paused).toBe(true);
    await client.getQueue("invoices").resume();
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
    expect(await viewer.barriers()).toEqual([]);
    await page.keyboard.press("Escape");
    await expect.poll(() => page.getByRole("dialog").count()).toBe(0);
  });

  test("a lost connection is shown, and mends itself", async () => {
    const other = await Viewer.of(yard);
    const page = await other.open("/queues");
    await page.getByText("Live").waitFor();
    await yard.restart(async () => {
      await page.getByText("Connection lost").waitFor();
      // What was read before stays.
      expect(await page.getByText("thumbnails").first().isVisible()).toBe(true);
    });
    await page.getByText("Live").waitFor({ timeout: 15_000 });
    await client.jobs.add("fresh-queue", {});
    await page.getByText("fresh-queue").waitFor();
    await other.close();
  });

  test("a manager looks and changes nothing; a tenant sees its own", async () => {
    const token = await tokenOf({ sub: "mo", roles: ["MANAGER"], tenantId: "acme" });
    await (await yard.client({ tenantId: "acme" })).jobs.add("acme-post", {});
    const other = await Viewer.of(yard, { token });
    const page = await other.open("/queues");
    await page.getByText("acme-post").waitFor();
    expect(await page.getByText("thumbnails").count()).toBe(0);
    expect(await page.getByRole("button", { name: /pause|drain|limits/i }).count()).toBe(0);
    await page.getByText("You can look, not change").waitFor();
    expect(await page.getByRole("link", { name: "Webhooks" }).count()).toBe(0);
    await other.close();
  });

  test("all tenants at once, or the one that is chosen", async () => {
    const other = await Viewer.of(yard, { token: await tokenOf({ tenantId: "*" }) });
    const page = await other.open("/queues");
    await page.getByText("acme-post").waitFor();
    await page.getByText("thumbnails").first().waitFor();
    await page.getByLabel("Tenant").selectOption("acme");
    await expect.poll(() => page.getByText("thumbnails").count()).toBe(0);
    await page
      .locator("tr")
      .filter({ hasText: "acme-post" })
      .getByRole("button", { name: "Pause" })
      .click();
    const acme = await yard.client({ tenantId: "acme" });
    await expect.poll(async () => (await acme.getQueue("acme-post").status()).paused).toBe(true);
    await other.close();
  });

  test("asks for a token, and says why one is refused", async () => {
    const other = await Viewer.of(yard, { token: null });
    const page = await other.open("/queues");
    await page.getByLabel("Token").fill("nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The server refused the token").waitFor();
    await other.picture("sign-in-light");
    expect(await other.barriers()).toEqual([]);
    await page.getByLabel("Token").fill(await tokenOf());
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("thumbnails").first().waitFor();
    await page.reload();
    await page.getByText("thumbnails").first().waitFor();
    await page.goto(`${yard.url}/console/settings`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    expect(seeded.done).not.toBe("");
    await other.close();
  });
});

test("an open server is looked at without a token", async () => {
  const yard = await startYard("embedded", {});
  const viewer = await Viewer.of(yard, { token: null });
  const page = await viewer.open("/");
  await page.getByText("All is well").waitFor();
  expect(viewer.problems).toEqual([]);
  await viewer.close();
  await yard.stop();
});

test("its files: small, kept for ever under names of their own, and no other script can run", async () => {
  const yard = await startYard("embedded", {});
  const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${yard.url}/console${path}`, { headers });
  const index = await get("");
  const html = await index.text();
  expect(index.headers.get("cache-control")).toBe("no-cache");
  const policy = index.headers.get("content-security-policy") ?? "";
  expect(policy).toContain("script-src 'self';");
  expect(policy).not.toMatch(/unsafe|\*|data:/);
  expect(html).not.toMatch(/<script(?![^>]* src=)|<style| style=| on\w+=/);
  const again = await get("", { "If-None-Match": index.headers.get("etag") ?? "" });
  expect(again.status).toBe(304);
  // Addresses of the application's own.
  expect(await (await get("/jobs/5")).text()).toBe(html);

  let bytes = 0;
  for (const [, path = ""] of html.matchAll(/(?:src|href)="\/console(\/assets\/[^"]+\.js)"/g)) {
    const script = await get(path, { "Accept-Encoding": "br, gzip" });
    expect(script.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(script.headers.get("content-encoding")).toBe("br");
    bytes += gzipSync(await script.text()).length;
  }
  expect(bytes).toBeGreaterThan(10_000);
  expect(bytes).toBeLessThan(MAX_SCRIPT_BYTES);
  expect((await get("/assets/none.js")).status).toBe(404);
  expect((await fetch(`${yard.url}/console`, { method: "POST" })).status).toBe(405);
  await yard.stop();
});
