type Point = readonly [number, number, number];

/**
 * Cuts a polygon, flat or nearly so and possibly concave, into triangles of the same orientation by clipping
 * ears. A polygon that crosses itself is cut into a fan.
 */
export function triangulate(
  corners: readonly number[],
  at: (corner: number) => Point,
): [number, number, number][] {
  const flat = flattened(corners.map(at));
  const left = corners.map((_, index) => index);
  const triangles: [number, number, number][] = [];
  const add = (a: number, b: number, c: number): void => {
    triangles.push([corners[a] as number, corners[b] as number, corners[c] as number]);
  };
  while (left.length > 3) {
    const ear = left.findIndex((_, i) => isEar(left, i, flat));
    if (ear === -1) break;
    const [a, b, c] = around(left, ear);
    add(a, b, c);
    left.splice(ear, 1);
  }
  const [apex = 0, ...others] = left;
  for (let i = 0; i + 1 < others.length; i++)
    add(apex, others[i] as number, others[i + 1] as number);
  return triangles;
}

/** In the plane that faces its normal (by Newell) the most, turned so that its area is positive. */
function flattened(points: readonly Point[]): (readonly [number, number])[] {
  let [nx, ny, nz] = [0, 0, 0];
  points.forEach(([x, y, z], i) => {
    const [u, v, w] = points[(i + 1) % points.length] as Point;
    nx += (y - v) * (z + w);
    ny += (z - w) * (x + u);
    nz += (x - u) * (y + v);
  });
  const [ax, ay, az] = [Math.abs(nx), Math.abs(ny), Math.abs(nz)];
  if (ax >= ay && ax >= az) return points.map(([, y, z]) => (nx >= 0 ? [y, z] : [z, y]));
  if (ay >= az) return points.map(([x, , z]) => (ny >= 0 ? [z, x] : [x, z]));
  return points.map(([x, y]) => (nz >= 0 ? [x, y] : [y, x]));
}

function around(left: readonly number[], i: number): [number, number, number] {
  const n = left.length;
  return [left[(i + n - 1) % n] as number, left[i] as number, left[(i + 1) % n] as number];
}

function isEar(
  left: readonly number[],
  i: number,
  flat: readonly (readonly [number, number])[],
): boolean {
  const [a, b, c] = around(left, i);
  if (turn(flat, a, b, c) <= 0) return false;
  return !left.some(
    (p) =>
      p !== a &&
      p !== b &&
      p !== c &&
      turn(flat, a, b, p) >= 0 &&
      turn(flat, b, c, p) >= 0 &&
      turn(flat, c, a, p) >= 0,
  );
}

/** Positive where the way from a over b to c turns left. */
function turn(
  flat: readonly (readonly [number, number])[],
  a: number,
  b: number,
  c: number,
): number {
  const [ax, ay] = flat[a] as readonly [number, number];
  const [bx, by] = flat[b] as readonly [number, number];
  const [cx, cy] = flat[c] as readonly [number, number];
  return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax);
}
