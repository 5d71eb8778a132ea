export default function run(): void {
  const held: number[][] = [];
  for (;;) held.push(Array.from({ length: 10_000 }, (_, index) => index));
}
