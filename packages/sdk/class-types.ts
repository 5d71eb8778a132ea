/**
 * Gives `require("@jobyard/sdk")` types that say what it is: the class, with the package's names beside it. Part of the
 * build, since the bundler of declarations knows no `export =`.
 */
import { readFileSync, writeFileSync } from "node:fs";

const dist = new URL("./dist/", import.meta.url);
const whole = new URL("index.d.cts", dist);
const text = readFileSync(whole, "utf8");
const lists = [...text.matchAll(/^export \{([^}]+)\}/gm)].map(([, list = ""]) => list).join();
const names = [...lists.matchAll(/(\w+)\s*(?:,|$)/g)].map(([, name = ""]) => name);
const others = names.filter((name) => name !== "Jobyard");
if (others.length !== names.length - 1 || !others.includes("JobyardError")) {
  throw new Error("dist/index.d.cts does not export what it should");
}
writeFileSync(new URL("names.d.cts", dist), text);
writeFileSync(
  whole,
  `import { Jobyard as Client, ${others.join(", ")} } from "./names.cjs";
declare class Jobyard<Queues extends object = TypedQueues> extends Client<Queues> {}
declare namespace Jobyard {
  export { Client as Jobyard, ${others.join(", ")} };
}
export = Jobyard;
`,
);
