/** The files that the benchmark of the handlers works on. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";

/** Eight columns of the usual kinds, 125 bytes a row. */
export async function writeCsv(
  path: string,
  isFull: (bytes: number, rows: number) => boolean,
): Promise<void> {
  const out = createWriteStream(path);
  out.write("id,name,email,amount,created,active,zip,comment\n");
  let rows = 0;
  let bytes = 0;
  while (!isFull(bytes, rows)) {
    let text = "";
    for (let i = 0; i < 5000; i++) {
      rows++;
      const two = String((rows % 28) + 1).padStart(2, "0");
      text +=
        `${rows},"Name ${rows % 1000}, Jr",user${rows}@example.com,${((rows * 1.37) % 1000).toFixed(2)},` +
        `2024-01-${two} 10:00:00,${rows % 2 === 0},0${(rows % 9000) + 1000},"some text ""quoted"" ${rows}"\n`;
    }
    bytes += text.length;
    if (!out.write(text)) await once(out, "drain");
  }
  out.end();
  await once(out, "finish");
}

const MAJOR = 20;
const MINOR = 5;
/** mm³ */
export const TORUS_VOLUME = 2 * Math.PI ** 2 * MAJOR * MINOR ** 2;

/** A binary STL: as many quads one way round as the other, two triangles each. */
export function torus(triangles: number): Buffer {
  const n = Math.round(Math.sqrt(triangles / 2));
  const file = Buffer.alloc(84 + 100 * n * n);
  file.writeUInt32LE(2 * n * n, 80);
  const write = (at: number, i: number, j: number): void => {
    const u = (2 * Math.PI * (i % n)) / n;
    const v = (2 * Math.PI * (j % n)) / n;
    const r = MAJOR + MINOR * Math.cos(v);
    file.writeFloatLE(r * Math.cos(u), at);
    file.writeFloatLE(r * Math.sin(u), at + 4);
    file.writeFloatLE(MINOR * Math.sin(v), at + 8);
  };
  for (let quad = 0; quad < n * n; quad++) {
    const i = Math.floor(quad / n);
    const j = quad % n;
    const at = 84 + 100 * quad + 12;
    write(at, i, j);
    write(at + 12, i + 1, j);
    write(at + 24, i + 1, j + 1);
    write(at + 50, i, j);
    write(at + 62, i + 1, j + 1);
    write(at + 74, i, j + 1);
  }
  return file;
}

/** Of about so many characters, with words of both kinds. */
export function texts(count: number, characters: number): string[] {
  const parts = [
    "The kettle I ordered arrived late and the lid was badly scratched.",
    "Support answered within an hour and was really kind about it!",
    "Not bad at all, but the manual is useless :(",
    "Delivered on Tuesday in a brown box with two screws.",
    "I absolutely love the colour, and my sister does too.",
  ];
  return Array.from({ length: count }, (_, i) => {
    let text = "";
    for (let j = i; text.length < characters; j++) text += `${parts[j % parts.length]} `;
    return text.slice(0, characters);
  });
}
