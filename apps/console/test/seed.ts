import type { Client } from "./yard.ts";

/** Jobs of all kinds, run as any worker outside would run them. */

export interface Seeded {
  /** Completed at its second attempt, with logs, data and result. */
  readonly done: string;
  readonly running: string;
  readonly failed: string;
  /** Waits for `running`. */
  readonly blocked: string;
  /** Its name, data and error are what nobody should write. */
  readonly hostile: string;
}

const HOSTILE =
  '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>\u202Egnp.exe';

export function heartbeat(client: Client) {
  return client.call("heartbeatWorker", {
    path: { worker: "press-1" },
    body: { queues: ["thumbnails", "invoices"], concurrency: 8 },
  });
}

export async function seed(client: Client): Promise<Seeded> {
  await heartbeat(client);
  await client.getQueue("thumbnails").configure({ indexedPaths: ["data.image"] });

  const { id: done } = await client.jobs.add("thumbnails", {
    name: "cover",
    data: {
      image: "covers/7f3a.png",
      width: 320,
      crop: { left: 10, top: 4 },
      tags: ["new", "shop"],
    },
    opts: { maxAttempts: 3, backoffMs: 0, tags: ["shop"], batch: "spring", project: "catalogue" },
  });
  const first = await pull(client, "thumbnails");
  await client.call("failJobs", {
    body: { items: [{ ...first, error: "The image is still being copied" }] },
  });
  const second = await pull(client, "thumbnails");
  await client.call("writeLogs", {
    body: { items: [{ ...second, lines: ["read covers/7f3a.png", "wrote 320x200, 18204 bytes"] }] },
  });
  await client.call("reportProgress", { body: { items: [{ ...second, progress: 80 }] } });
  await client.call("ackJobs", { body: { items: [{ ...second, result: { bytes: 18_204 } }] } });

  for (let n = 0; n < 40; n++) {
    await client.jobs.add("thumbnails", {
      name: n % 3 === 0 ? "banner" : "cover",
      data: { image: `covers/${n}.png` },
      opts: { tags: n % 2 === 0 ? ["shop"] : [], batch: "spring" },
    });
  }
  const many = await client.call("pullJobs", { body: { queues: ["thumbnails"], limit: 30 } });
  const runs = many.items.map(({ id, lease }) => ({ id, lease }));
  await client.call("ackJobs", { body: { items: runs.slice(0, 22) } });
  await client.call("failJobs", {
    body: {
      items: runs.slice(22).map((run, n) => ({
        ...run,
        error: n < 6 ? `No space left on disk ${n}` : `Image ${n} is not a PNG`,
        final: true,
      })),
    },
  });
  const failed = runs.at(-1)?.id ?? "";
  await client.getQueue("thumbnails").configure({ concurrency: 8 });

  const { id: running } = await client.jobs.add("invoices", {
    name: "march",
    data: { month: "2031-03", customers: 1200 },
    opts: { maxAttempts: 2 },
  });
  const { id: blocked } = await client.jobs.add("invoices", {
    name: "post the invoices",
    opts: { dependsOn: [running] },
  });
  const run = await pull(client, "invoices", "press-1");
  await client.call("reportProgress", {
    body: {
      items: [
        {
          ...run,
          progress: 35,
          message: "customer 420",
          stats: {
            totalItems: 1200,
            processedItems: 420,
            failedItems: 3,
            averageItemMs: 25,
            itemsPerSecond: 40,
            estimatedEnd: new Date(Date.now() + 600_000).toISOString(),
          },
        },
      ],
    },
  });
  await client.jobs.add("invoices", { name: "april", opts: { delayMs: 3_600_000 } });

  const { id: hostile } = await client.jobs.add("letters", {
    name: HOSTILE,
    data: { [HOSTILE]: HOSTILE, bell: "\u0007\u2066", long: "x".repeat(300_000), deep: deep(90) },
    opts: { tags: [HOSTILE] },
  });
  const bad = await pull(client, "letters");
  await client.call("failJobs", {
    body: { items: [{ ...bad, error: HOSTILE.repeat(20), final: true }] },
  });
  for (let n = 0; n < 12; n++) await client.jobs.add("letters", { name: `letter ${n}` });

  const long = "nobodys-and-with-a-name-as-long-as-somebody-took-it-for-a-good-one.2031";
  for (let n = 0; n < 3; n++) await client.jobs.add(long, { data: n });

  await client.schedules.add({
    name: "morning-report",
    cron: "30 6 * * 1-5",
    timezone: "Europe/Madrid",
    description: "What was printed yesterday",
    job: { queue: "thumbnails", name: "report", data: { folder: "covers" } },
  });
  await client.schedules.add({
    name: "hourly-sweep",
    cron: "0 * * * *",
    enabled: false,
    job: { queue: "invoices" },
  });
  return { done, running, failed, blocked, hostile };
}

async function pull(client: Client, queue: string, worker?: string) {
  const body = { queues: [queue], ...(worker !== undefined && { worker }) };
  const { items } = await client.call("pullJobs", { body });
  const [{ id, lease }] = items as [(typeof items)[number]];
  return { id, lease };
}

function deep(levels: number): unknown {
  let value: unknown = "the bottom";
  for (let n = 0; n < levels; n++) value = { in: value };
  return value;
}
