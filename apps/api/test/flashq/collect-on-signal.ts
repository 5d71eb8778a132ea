/** Loaded into a server process whose memory is measured: SIGUSR2 has it drop what is garbage, and tell the bytes of its buffers, and of all that it holds. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

process.on("SIGUSR2", () => {
  // Twice: what finalizers let go of as well.
  collect();
  setImmediate(() => {
    collect();
    const { arrayBuffers, heapUsed, external } = process.memoryUsage();
    process.stdout.write(`held: ${arrayBuffers} ${heapUsed + external}\n`);
  });
});
