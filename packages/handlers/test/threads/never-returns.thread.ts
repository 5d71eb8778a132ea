export default function run(): never {
  for (;;);
}
