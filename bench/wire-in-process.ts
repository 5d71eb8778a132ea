/** The same work without a wire. Usage: node wire-in-process.ts <engine> <place> batches <size> <lanes> | singles <in flight> */
import { expectEqual, payload, perSecond, report } from "./measure.ts";
import { openQueue } from "./wire-queue.ts";
import { lanes } from "./wire-work.ts";

const [engine = "", place = "", scenario, first = "", second = ""] = process.argv.slice(2);
const queue = await openQueue(engine, place);
const jobs = queue.of("default");

async function batch(size: number): Promise<void> {
  const batch = Array.from({ length: size }, () => ({ queue: "bench", data: payload }));
  await jobs.addMany(batch, { atomic: true });
  for (let left = size; left > 0;) {
    const claimed = await jobs.pull({ queue: "bench", limit: left, waitMs: Infinity });
    const acked = await jobs.ack(claimed.map(({ id }) => ({ id })));
    expectEqual(acked.filter((done) => done === true).length, claimed.length, "acknowledged jobs");
    left -= claimed.length;
  }
}

async function single(): Promise<void> {
  await jobs.add({ queue: "bench", data: payload });
  const [job] = await jobs.pull({ queue: "bench", limit: 1, waitMs: Infinity });
  const [done] = await jobs.ack([{ id: job?.id ?? 0 }]);
  if (done !== true) throw new Error("A job was not acknowledged");
}

const work =
  scenario === "batches"
    ? await lanes(Number(second), Number(first), () => batch(Number(first)))
    : await lanes(Number(first), 1, single);
report({ lifecycle: perSecond(work.jobs, work.ms) });
await queue.close();
