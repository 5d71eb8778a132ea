import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { engines } from "../../api/test/engines.ts";
import { startRedis } from "../../../packages/core/test/redis.ts";
import { Viewer } from "./browser.ts";
import { heartbeat, seed, type Seeded } from "./seed.ts";
import { type Client, startYard, tokenOf, type Yard } from "./yard.ts";

// A test opens several pages, each of which may have to wait for the processor.
vi.setConfig({ testTimeout: 90_000 });

const MAX_SCRIPT_BYTES = 150_000;

/** Each is looked at in the light and in the dark. */
const looks = { wide: {}, narrow: { width: 375, language: "es-ES" } } as const;

describe.each(engines)("the console on %s", (engine) => {
  let yard: Yard;
  let client: Client;
  let seeded: Seeded;
  let viewer: Viewer;
  let beating: NodeJS.Timeout;
  beforeAll(async () => {
    yard = await startYard(engine);
    client = await yard.client();
    seeded = await seed(client);
    // Else the worker is forgotten, and its job given to others.
    beating = setInterval(() => void heartbeat(client).catch(() => undefined), 5000);
    viewer = await Viewer.of(yard);
  }, 60_000);
  const others: Record<string, Viewer> = {};
  afterAll(async () => {
    clearInterval(beating);
    await Promise.all([viewer, ...Object.values(others)].map((one) => one?.close()));
    await yard?.stop();
  });

  /** As it is, in the dark and on a telephone: nobody is kept out of it, and nothing sticks out. */
  const inspect = async (path: string, name: string, ready: string): Promise<void> => {
    // Layout and colours are the same on each engine.
    if (engine === "redis") return;
    for (const [kind, look] of Object.entries(looks)) {
      const other = (others[kind] ??= await Viewer.of(yard, look));
      const page = await other.follow(path);
      await page.getByText(ready).first().waitFor();
      for (const colorScheme of ["light", "dark"] as const) {
        const told = `${name}-${kind}-${colorScheme}`;
        await page.emulateMedia({ colorScheme });
        await other.picture(told);
        expect(await other.barriers(), told).toEqual([]);
        expect(await other.overflow(), told).toBeLessThanOrEqual(0);
        expect(other.problems, told).toEqual([]);
      }
    }
  };

  test("the overview says what needs attention, and is live", async () => {
    const page = await viewer.open("/");
    const attention = page.locator(".attention");
    await attention.getByText("Jobs wait and no worker takes them: 3").waitFor();
    await attention.getByText("of its jobs fail: 8 in the last 5 minutes").waitFor();
    await page.getByText("Live").waitFor();
    const active = page.locator(".tiles div").filter({ hasText: "active" }).locator("dd");
    await expect.poll(() => active.textContent()).toBe("1");
    await page.getByRole("button", { name: "5 min" }).click();
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

  test("jobs are found by whatever is known of them, page by page", async () => {
    const page = await viewer.open("/jobs");
    const found = page.locator(".pager [role=status]");
    const search = async (by: string, text: string): Promise<void> => {
      await page.getByLabel("Search by").selectOption(by);
      await page.getByRole("searchbox").fill(text);
      await page.keyboard.press("Enter");
    };
    await page.getByLabel("Queue").selectOption("thumbnails");
    await found.getByText("1–41 of 41").waitFor();
    await search("payload", "data.image = covers/7.png");
    await found.getByText("1–1 of 1").waitFor();
    await page.getByRole("button", { name: /Remove the condition Payload/ }).click();
    await search("error", "no space");
    await found.getByText("1–6 of 6").waitFor();
    await page.goBack();
    await found.getByText("1–41 of 41").waitFor();
    await page.getByRole("button", { name: "failed" }).click();
    await found.getByText("1–8 of 8").waitFor();
    for (const [by, text, count] of [
      ["id", seeded.done, 1],
      ["name", "march", 1],
      ["tag", "shop", 21],
      ["batch", "spring", 41],
    ] as const) {
      await viewer.follow("/jobs");
      await search(by, text);
      await found.getByText(`1–${count} of ${count}`).waitFor();
    }

    await client.jobs.addMany(
      "pages",
      Array.from({ length: 120 }, (_, n) => ({ name: `page ${n}` })),
    );
    await viewer.open("/jobs?queue=pages");
    await found.getByText("1–50 of 120").waitFor();
    await page.getByRole("button", { name: "Older" }).click();
    await found.getByText("51–100 of 120").waitFor();
    const rows = (): Promise<string[]> => page.locator("tbody td:first-child").allTextContents();
    const before = await rows();
    await client.jobs.add("pages", { name: "came meanwhile" });
    await found.getByText("51–100 of 121").waitFor();
    expect(await rows()).toEqual(before);
    await inspect("/jobs?queue=thumbnails", "jobs", "banner");
  });

  test("what a filter finds is cancelled, retried and removed as a whole", async () => {
    const page = await viewer.open("/jobs?queue=pages");
    const dialog = page.getByRole("dialog");
    const all = async (action: string): Promise<void> => {
      await page.getByRole("button", { name: `${action} all` }).click();
      await dialog.getByText("121").waitFor();
      await dialog.getByRole("button", { name: `${action} all` }).click();
      await dialog.getByText("121 of 121 · Done").waitFor();
      await dialog.getByRole("button", { name: "Close" }).last().click();
    };
    await all("Cancel");
    expect((await client.getQueue("pages").status()).counts.cancelled).toBe(121);
    await all("Retry");
    expect((await client.getQueue("pages").status()).counts.waiting).toBe(121);
    await all("Remove");
    await page.getByText("No job is like that.").waitFor();
  });

  test("a job: its runs, logs, data, result, and what it is part of", async () => {
    const page = await viewer.open(`/jobs/${seeded.done}`);
    await page.getByText("Run 2").waitFor();
    const timeline = page.locator(".timeline");
    await timeline.getByText("The image is still being copied").waitFor();
    await page.getByText("wrote 320x200, 18204 bytes").waitFor();
    // As they write it in Britain.
    await page
      .getByText(/^\d{1,2} \w+ \d{4}, \d\d:\d\d:\d\d$/)
      .first()
      .waitFor();
    await page.getByText("18204").first().waitFor();
    const crop = page.getByRole("button", { name: "crop:" });
    expect(await page.getByText("left:").count()).toBe(0);
    await crop.click();
    await page.getByText("left:").waitFor();
    await page.getByRole("link", { name: "spring" }).click();
    await page.getByText("1–41 of 41").waitFor();
    await inspect(`/jobs/${seeded.done}`, "job", "still being copied");
  });

  test("files that a job has made are downloaded", async () => {
    const kept = engine === "redis" ? "results-redis" : "results";
    const results = join(yard.folder, "files", "default", ".jobyard", kept, seeded.done);
    await mkdir(results, { recursive: true });
    await writeFile(join(results, "sizes.csv"), "width,height\n320,200\n");
    const page = await viewer.open(`/jobs/${seeded.done}`);
    const saved = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download sizes.csv" }).click();
    expect((await saved).suggestedFilename()).toBe("sizes.csv");
    expect(await readFile(await (await saved).path(), "utf8")).toBe("width,height\n320,200\n");
  });

  test("a running job is followed, and the one that waits for it", async () => {
    const page = await viewer.open(`/jobs/${seeded.running}`);
    await page.getByText("420 of 1,200 items").waitFor();
    await page.getByText("40 items/s").waitFor();
    await page.getByText(/min .* left/).waitFor();
    await inspect(`/jobs/${seeded.running}`, "job-running", "march");
    await page.getByRole("link", { name: seeded.blocked }).click();
    await page.getByRole("heading", { name: `Job ${seeded.blocked}` }).waitFor();
    await page.getByRole("button", { name: "Cancel job" }).click();
    await page.locator(".job-head").getByText("cancelled").waitFor();
    expect((await client.jobs.get(seeded.blocked)).state).toBe("cancelled");
  });

  test("a failed job is edited and added again, or why not", async () => {
    const page = await viewer.open(`/jobs/${seeded.failed}`);
    await page.getByRole("button", { name: "Edit and requeue" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Data").fill("{ not JSON");
    await dialog.getByRole("button", { name: "Edit and requeue" }).click();
    await dialog.getByRole("alert").waitFor();
    await dialog.getByLabel("Data").fill('{"image": "other.png"}');
    await dialog.getByLabel("Name").fill("again");
    await dialog.getByRole("button", { name: "Edit and requeue" }).click();
    await page.getByRole("heading", { name: /^Job \d+ again/ }).waitFor();
    const id = new URL(page.url()).pathname.split("/").at(-1) ?? "";
    expect(await client.jobs.get(id)).toMatchObject({
      queue: "thumbnails",
      name: "again",
      data: { image: "other.png" },
    });
    await client.jobs.remove(id);
    await page.reload();
    await page.getByText(`There is no job ${id}.`).waitFor();
  });

  test("hostile data is text and nothing else", async () => {
    const other = await Viewer.of(yard);
    const page = await other.open(`/jobs/${seeded.hostile}`);
    await page.getByRole("heading", { name: "<script>" }).waitFor();
    // Folded away until somebody asks: 90 levels, 300,000 characters.
    await page.getByText("more characters").first().waitFor();
    for (let level = 0; level < 20; level++) {
      await page.getByRole("button", { name: /(deep|in): \{/, expanded: false }).click();
    }
    expect(await page.locator("main img, main script").count()).toBe(0);
    const text = (await page.locator("main").textContent()) ?? "";
    expect(text).toContain("\\u202e");
    for (const hidden of ["\u202e", "\u0007", "\u2066"]) expect(text).not.toContain(hidden);
    expect(text.length).toBeLessThan(20_000);
    expect(await page.title()).toBe("Jobyard");
    expect(await other.overflow()).toBeLessThanOrEqual(0);
    expect(other.problems).toEqual([]);
    await other.close();
  });

  test("failures are grouped by what they have in common, and retried as a group", async () => {
    const page = await viewer.open("/failures");
    const group = page.locator(".group").filter({ hasText: "No space left on disk" });
    await group.getByText("6 in 24 h").waitFor();
    await inspect("/failures", "failures", "No space left");
    await group.getByRole("button", { name: "Retry group" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Retry group" }).click();
    await dialog.getByText("6 of 6 · Done").waitFor();
    await dialog.getByRole("button", { name: "Close" }).last().click();
    await expect.poll(() => page.getByText("No space left on disk").count()).toBe(0);
    expect((await client.getQueue("thumbnails").status()).counts.failed).toBe(2);
  });

  test("schedules in plain words: made, tried, paused, changed, removed", async () => {
    const page = await viewer.open("/schedules");
    const card = page.locator("li.card").filter({ hasText: "morning-report" });
    await card.getByText("At 06:30, Monday through Friday").waitFor();
    await card.getByText("Next five runs").click();
    await expect.poll(() => card.locator("tbody tr").count()).toBe(5);
    await card.getByRole("columnheader", { name: "Europe/Madrid" }).waitFor();

    await page.getByRole("button", { name: "New schedule" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name", { exact: true }).fill("tick");
    await dialog.getByLabel("Cron").fill("never");
    await dialog.getByLabel("Queue").fill("ticks");
    await dialog.getByRole("button", { name: "Create" }).click();
    await dialog.locator("form > .problem").waitFor();
    await dialog.getByLabel("Cron").fill("*/5 * * * *");
    await dialog.getByText("Every 5 minutes").waitFor();
    await dialog.getByLabel("Data").fill('{"loud": true}');
    await dialog.getByRole("button", { name: "Create" }).click();
    await page.getByRole("button", { name: "Run now tick" }).click();
    await expect
      .poll(async () => (await client.jobs.page({ queue: ["ticks"], include: ["data"] })).items)
      .toMatchObject([{ schedule: "tick", data: { loud: true } }]);
    await page.getByRole("button", { name: "Pause tick" }).click();
    await page.getByRole("button", { name: "Resume tick" }).waitFor();
    expect(await client.schedules.get("tick")).toMatchObject({ enabled: false });
    await page.getByRole("button", { name: "Edit tick" }).click();
    await dialog.getByLabel("Description").fill("Every now and then");
    await dialog.getByRole("button", { name: "Save" }).click();
    await page.getByText("Every now and then").waitFor();
    expect((await client.schedules.get("tick")).job).toMatchObject({ data: { loud: true } });
    await inspect("/schedules", "schedules", "morning-report");
    await page.locator("li.card").filter({ hasText: "*/5 * * * *" }).getByText("Show jobs").click();
    await page.getByText("1–1 of 1").waitFor();
    await page.goBack();
    await page.getByRole("button", { name: "Remove tick" }).click();
    await expect.poll(() => page.getByText("Every now and then").count()).toBe(0);
  });

  test("workers and nodes", async () => {
    const other = await Viewer.of(yard, { token: await tokenOf({ tenantId: "*" }) });
    const page = await other.open("/workers");
    const row = page.locator("tr").filter({ hasText: "press-1" });
    await row.waitFor();
    expect(await row.textContent()).toContain("thumbnails, invoices");
    await page.getByText("leader").waitFor();
    await other.close();
    await inspect("/workers", "workers", "press-1");
  });

  test("webhooks, what was sent to them, and sent again", async () => {
    const heard: string[] = [];
    const receiver = createServer((request, response) => {
      request.setEncoding("utf8");
      request.on("data", (chunk: string) => heard.push(chunk));
      request.on("end", () => response.end("thanks"));
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    const address = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
    const page = await viewer.open("/webhooks");
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "New webhook" }).click();
    await dialog.getByLabel("Address").fill(address);
    await dialog.getByRole("button", { name: "Create" }).click();
    await page.getByText(address).waitFor();
    await page.getByRole("button", { name: "Test" }).click();
    await expect.poll(() => heard.length, { timeout: 8000 }).toBe(1);
    await inspect("/webhooks", "webhooks", address);
    await page.getByRole("link", { name: address }).click();
    await page.getByText("delivered").nth(1).waitFor();
    await page.getByRole("button", { name: /^Replay/ }).click();
    await expect.poll(() => heard.length, { timeout: 8000 }).toBe(2);
    await page.getByRole("button", { name: "webhook.test" }).first().click();
    await dialog.getByText("thanks").waitFor();
    await page.keyboard.press("Escape");
    await inspect(
      new URL(page.url()).pathname.slice("/console".length),
      "deliveries",
      "webhook.test",
    );
    receiver.close();
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

  test("why something was refused is told in the viewer's language, and in the server's words", async () => {
    const spanish = await Viewer.of(yard, { language: "es-ES" });
    const page = await spanish.open("/");
    const dialog = page.getByRole("dialog");
    await page.getByText("En directo").waitFor();
    const headers = { Authorization: `Bearer ${await tokenOf()}` };
    /** Has the server answer for another job: as if somebody had been quicker than the page. */
    const retryInstead = async (id: string): Promise<unknown> =>
      page.route(`**/jobs/${seeded.failed}/retry`, async (route) => {
        const url = `${yard.url}/api/native/jobs/${id}/retry`;
        const answer = await fetch(url, { method: "POST", headers });
        await route.fulfill({ status: answer.status, json: await answer.json() });
      });
    const refused = async (what: RegExp): Promise<void> => {
      const notice = page.locator(".notice.bad").filter({ hasText: what });
      await notice.waitFor();
      await notice.getByRole("button", { name: "Cerrar" }).click();
    };

    await spanish.follow(`/jobs/${seeded.failed}`);
    const retry = page.getByRole("button", { name: "Reintentar", exact: true });
    await retryInstead(seeded.done);
    await retry.click();
    await refused(/^No se puede con un trabajo completado: Job \d+ .*completed/);
    await page.unrouteAll();
    await retryInstead("999999999");
    await retry.click();
    await refused(/^El trabajo no existe: Job 999999999 not found/);
    await page.unrouteAll();
    const unknown = { success: false, error: "Too odd", details: { code: "NEW" } };
    await page.route(/retry$/, (route) => route.fulfill({ status: 418, json: unknown }));
    await retry.click();
    await refused(/^Too odd/);
    expect((await client.jobs.get(seeded.failed)).state).toBe("failed");

    await page.getByRole("button", { name: "Editar y reencolar" }).click();
    await dialog.getByLabel("Datos").fill("{ not JSON");
    await dialog.getByRole("button", { name: "Editar y reencolar" }).click();
    await dialog.getByText(/^No es JSON válido: /).waitFor();
    await page.keyboard.press("Escape");

    await spanish.follow("/queues");
    const row = page.locator("tr").filter({ hasText: "letters" });
    await row.getByRole("button", { name: "Límites" }).click();
    await dialog.getByLabel("Rutas buscables").fill("not a path!");
    await dialog.getByRole("button", { name: "Guardar" }).click();
    await dialog.getByText(/^Los datos no son válidos: indexedPaths/).waitFor();
    await spanish.close();
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
    expect(await viewer.barriers()).toEqual([]);
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
    await page.getByRole("link", { name: "acme-post" }).click();
    await page.locator("tbody a").click();
    await page.getByRole("heading", { name: /^Job \d+/ }).waitFor();
    const changing = /cancel|retry|remove|requeue|run now/i;
    expect(await page.getByRole("button", { name: changing }).count()).toBe(0);
    // As if it had never been.
    await other.follow(`/jobs/${seeded.done}`);
    await page.getByText(`There is no job ${seeded.done}.`).waitFor();
    await other.follow(`/jobs?id=${seeded.done}`);
    await page.getByText("No job is like that.").waitFor();
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
    const soon = Math.ceil(Date.now() / 1000) + 2;
    const leaving = await Viewer.of(yard, { token: await tokenOf({ exp: soon }) });
    await leaving.open("/queues");
    await leaving.page.getByText("thumbnails").first().waitFor();
    const other = await Viewer.of(yard, { token: null });
    const page = await other.open("/queues");
    await page.getByLabel("Token").fill("nonsense");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The server refused the token").waitFor();
    await other.picture("sign-in-wide-light");
    expect(await other.barriers()).toEqual([]);
    await page.getByLabel("Token").fill(await tokenOf());
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("thumbnails").first().waitFor();
    await page.reload();
    await page.getByText("thumbnails").first().waitFor();
    await page.goto(`${yard.url}/console/settings`);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    await leaving.page.getByText("The token has expired").waitFor();
    await Promise.all([leaving.close(), other.close()]);
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

test("what is at risk is told in the viewer's language", async () => {
  const redis = await startRedis("--appendonly", "no", "--maxmemory-policy", "allkeys-lru");
  const yard = await startYard("embedded", { REDIS_URL: redis.url });
  const viewer = await Viewer.of(yard, { token: null, language: "es-ES" });
  const page = await viewer.open("/");
  const attention = page.locator(".attention");
  await attention.getByText("maxmemory-policy es allkeys-lru").waitFor();
  await attention.getByText("no guarda un archivo de solo adición").waitFor();
  expect(viewer.problems).toEqual([]);
  await viewer.close();
  await yard.stop();
  await redis.stop();
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
