export default function run({ started }: { started: Int32Array<SharedArrayBuffer> }): never {
  Atomics.store(started, 0, 1);
  Atomics.notify(started, 0);
  for (;;);
}
