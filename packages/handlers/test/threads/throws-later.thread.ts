export default async function run(): Promise<void> {
  setImmediate(() => {
    throw new Error("uncaught");
  });
  await new Promise(() => {});
}
