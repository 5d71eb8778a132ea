/** A process that moves a store and is going to be killed; says each step on a line of its own. */
import { BullmqAtRest } from "@jobyard/core/bullmq";
import { SqliteAtRest } from "@jobyard/core/sqlite";
import { type MovedStore, moveStore } from "../src/move.ts";

const [direction, path = "", url = "", prefix = ""] = process.argv.slice(2);
const file: MovedStore = { store: new SqliteAtRest({ path }), payloadFolder: `${path}-files` };
const keys: MovedStore = {
  store: new BullmqAtRest({ url, prefix }),
  payloadFolder: `${path}-${prefix}-files`,
};
await moveStore({
  from: direction === "out" ? file : keys,
  to: direction === "out" ? keys : file,
  onProgress: ({ doing, done }) => void process.stdout.write(`${doing} ${done}\n`),
});
process.stdout.write("done\n");
