import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import axe from "axe-core";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll } from "vitest";
import { tokenOf, type Yard } from "./yard.ts";

/** Where pictures of the screens are to go; absent: none are made. */
const pictures = process.env["JOBYARD_SCREENSHOTS"];

let launched: Promise<Browser> | undefined;
afterAll(async () => (await launched)?.close());

function browser(): Promise<Browser> {
  return (launched ??= chromium.launch({
    executablePath: "/usr/bin/chromium",
    // Its sandbox does not start as root.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  }));
}

export interface Look {
  readonly width?: number;
  readonly dark?: boolean;
  readonly language?: string;
  /** Default: an ADMIN of the tenant `default`; null: nobody. */
  readonly token?: string | null;
}

/** A page of its own, signed in, that collects what a page should never say. */
export class Viewer {
  readonly page: Page;
  readonly problems: string[] = [];
  readonly #url: string;

  private constructor(page: Page, url: string) {
    this.page = page;
    this.#url = url;
    page.on("pageerror", (error) => this.problems.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") this.problems.push(message.text());
    });
  }

  static async of({ url }: Pick<Yard, "url">, look: Look = {}): Promise<Viewer> {
    const { width = 1280, dark = false, language = "en-GB" } = look;
    const token = look.token === undefined ? await tokenOf() : look.token;
    const context = await (
      await browser()
    ).newContext({
      viewport: { width, height: 860 },
      colorScheme: dark ? "dark" : "light",
      locale: language,
      reducedMotion: "reduce",
    });
    context.setDefaultTimeout(8000);
    if (token !== null) {
      await context.addInitScript(
        `sessionStorage.setItem("jobyard.token", ${JSON.stringify(token)})`,
      );
    }
    return new Viewer(await context.newPage(), url);
  }

  async open(path: string): Promise<Page> {
    await this.page.goto(`${this.#url}/console${path}`);
    return this.page;
  }

  /** As a link leads there, within the page. */
  async follow(path: string): Promise<Page> {
    if (!this.page.url().startsWith(this.#url)) return this.open(path);
    await this.page.evaluate(`history.pushState(null, "", ${JSON.stringify(`/console${path}`)})`);
    return this.page;
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }

  /** What axe-core finds that keeps people out: of WCAG 2.2 A and AA. */
  async barriers(): Promise<readonly string[]> {
    if (await this.page.evaluate<boolean>(`!("axe" in window)`)) {
      await this.page.evaluate(axe.source);
    }
    return this.page.evaluate<string[]>(
      `axe.run({
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
        resultTypes: ["violations"],
      }).then(({ violations }) => violations.map(({ id, nodes }) =>
        id + ": " + nodes.map(({ html, failureSummary }) => html + " " + failureSummary).join("; ")))`,
    );
  }

  /** By how much the page is wider than its window, or a table than its place, px. */
  overflow(): Promise<number> {
    return this.page.evaluate<number>(
      `Math.max(...[document.documentElement, ...document.querySelectorAll(".table-frame")]
        .map((element) => element.scrollWidth - element.clientWidth))`,
    );
  }

  async picture(name: string): Promise<void> {
    if (pictures === undefined) return;
    await mkdir(pictures, { recursive: true });
    await this.page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  }
}
