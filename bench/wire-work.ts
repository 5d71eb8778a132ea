/** Jobs before the clock runs, until V8 has optimised what a batch runs through, and while it does. */
const WARM_UP = 150_000;
const JOBS = 100_000;

/** So many at once, again and again, until enough jobs are through. */
export async function lanes(
  count: number,
  jobsOfOne: number,
  one: () => Promise<unknown>,
): Promise<{ readonly jobs: number; readonly ms: number }> {
  const through = async (jobs: number): Promise<number> => {
    let left = Math.ceil(jobs / jobsOfOne);
    const began = performance.now();
    await Promise.all(
      Array.from({ length: count }, async () => {
        while (left-- > 0) await one();
      }),
    );
    return performance.now() - began;
  };
  await through(WARM_UP);
  return { jobs: Math.ceil(JOBS / jobsOfOne) * jobsOfOne, ms: await through(JOBS) };
}
