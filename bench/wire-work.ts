/** Until V8 has optimised what a job runs through: in a server a second of work is not enough. */
const WARM_UP_MS = 8000;
const MEASURED_MS = 3000;

/** So many at once, again and again. */
export async function lanes(
  count: number,
  jobsOfOne: number,
  one: () => Promise<unknown>,
): Promise<{ readonly jobs: number; readonly ms: number }> {
  const through = async (howLong: number): Promise<{ jobs: number; ms: number }> => {
    const began = performance.now();
    let done = 0;
    await Promise.all(
      Array.from({ length: count }, async () => {
        while (performance.now() - began < howLong) {
          await one();
          done++;
        }
      }),
    );
    return { jobs: done * jobsOfOne, ms: performance.now() - began };
  };
  await through(WARM_UP_MS);
  return through(MEASURED_MS);
}
