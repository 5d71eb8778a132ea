import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { feature } from "topojson-client";
import type { GeometryCollection, Objects, Topology } from "topojson-specification";

/** Degrees, WGS 84. */
export interface Point {
  readonly latitude: number;
  readonly longitude: number;
}

export interface State {
  /** Two digits, FIPS 5-2. */
  readonly fips: string;
  readonly name: string;
  /** Postal. */
  readonly code: string;
}

export interface County {
  /** Five digits, FIPS 6-4. */
  readonly fips: string;
  readonly name: string;
  readonly state: State;
}

/**
 * The shapes are the Census Bureau's at 1:10,000,000: their borders are about a kilometre off the true
 * ones, so a point that lies outside by no more than this may well be inside.
 */
export const BORDER_TOLERANCE_KM = 2;

interface Shape extends County {
  /** Rings of longitude and latitude; holes are rings as well. */
  readonly rings: readonly (readonly (readonly [number, number])[])[];
  /** West, south, east, north. */
  readonly box: readonly [number, number, number, number];
}

/** The state that a postal code or name means, in any case; undefined: none. */
export function stateOf(name: string): State | undefined {
  return statesByName().get(normal(name));
}

/**
 * The counties of that name in a state: two where a city of the same name is independent of its county. Words
 * such as "County" or "Parish" may be left out, accents too.
 */
export function countiesNamed(name: string, state: State): readonly County[] {
  const wanted = countyKey(name);
  return shapes().filter(
    (shape) => shape.state.fips === state.fips && countyKey(shape.name) === wanted,
  );
}

/** The county that a point lies in; undefined: none (at sea, abroad). */
export function countyAt(point: Point): County | undefined {
  return shapes().find((shape) => contains(shape, point));
}

/** Kilometres from a point to a county, 0 inside; along a plane, which is exact enough near it. */
export function distanceKm(point: Point, county: County): number {
  const shape = shapes().find(({ fips }) => fips === county.fips);
  if (shape === undefined) return Number.NaN;
  if (contains(shape, point)) return 0;
  const kmPerDegree = 111.195;
  const kmEast = kmPerDegree * Math.cos((point.latitude * Math.PI) / 180);
  let least = Infinity;
  for (const ring of shape.rings) {
    for (let i = 1; i < ring.length; i++) {
      const [fromEast = 0, fromNorth = 0] = ring[i - 1] ?? [];
      const [toEast = 0, toNorth = 0] = ring[i] ?? [];
      const x = (fromEast - point.longitude) * kmEast;
      const y = (fromNorth - point.latitude) * kmPerDegree;
      const dx = (toEast - fromEast) * kmEast;
      const dy = (toNorth - fromNorth) * kmPerDegree;
      const length = dx * dx + dy * dy;
      const along = length === 0 ? 0 : Math.min(1, Math.max(0, -(x * dx + y * dy) / length));
      least = Math.min(least, Math.hypot(x + along * dx, y + along * dy));
    }
  }
  return least;
}

function contains({ box, rings }: Shape, { latitude, longitude }: Point): boolean {
  const [west, south, east, north] = box;
  if (longitude < west || longitude > east || latitude < south || latitude > north) return false;
  // A ray to the east crosses the border an odd number of times, holes included.
  let inside = false;
  for (const ring of rings) {
    for (let i = 1; i < ring.length; i++) {
      const [x1 = 0, y1 = 0] = ring[i - 1] ?? [];
      const [x2 = 0, y2 = 0] = ring[i] ?? [];
      if (y1 > latitude === y2 > latitude) continue;
      if (longitude < x1 + ((latitude - y1) / (y2 - y1)) * (x2 - x1)) inside = !inside;
    }
  }
  return inside;
}

type Atlas = Topology<Objects & { counties: GeometryCollection<{ name: string }> }>;

let loaded: readonly Shape[] | undefined;

function shapes(): readonly Shape[] {
  loaded ??= load();
  return loaded;
}

function load(): Shape[] {
  const path = createRequire(import.meta.url).resolve("us-atlas/counties-10m.json");
  const atlas = JSON.parse(readFileSync(path, "utf8")) as Atlas;
  const byFips = new Map(states.map((state) => [state.fips, state]));
  return feature(atlas, atlas.objects.counties).features.flatMap(({ id, properties, geometry }) => {
    const fips = String(id).padStart(5, "0");
    const state = byFips.get(fips.slice(0, 2));
    if (state === undefined) return [];
    const polygons =
      geometry.type === "Polygon"
        ? [geometry.coordinates]
        : geometry.type === "MultiPolygon"
          ? geometry.coordinates
          : [];
    const rings = polygons.flat() as unknown as Shape["rings"];
    let [west, south, east, north] = [Infinity, Infinity, -Infinity, -Infinity];
    for (const [x, y] of rings.flat()) {
      west = Math.min(west, x);
      east = Math.max(east, x);
      south = Math.min(south, y);
      north = Math.max(north, y);
    }
    return [{ fips, name: properties.name, state, rings, box: [west, south, east, north] }];
  });
}

function normal(name: string): string {
  return name
    .normalize("NFKD")
    .toLowerCase()
    .replace(/[^a-z0-9 ]/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

const SUFFIX =
  / (?:county|parish|borough|census area|city and borough|municipality|municipio|city|island)$/;

/** Without suffix and spaces: De Witt and DeWitt, St. Louis and Saint Louis are one. */
function countyKey(name: string): string {
  return normal(name)
    .replace(SUFFIX, "")
    .replace(/^(?:saint|st) /, "st ")
    .replace(/^(?:sainte|ste) /, "ste ")
    .replaceAll(" ", "");
}

let byName: ReadonlyMap<string, State> | undefined;

function statesByName(): ReadonlyMap<string, State> {
  byName ??= new Map(
    states.flatMap((state) => [
      [normal(state.name), state],
      [state.code.toLowerCase(), state],
    ]),
  );
  return byName;
}

/** FIPS code, postal code, name; in the order of the API well number's codes (API Bulletin D12A). */
const states: readonly State[] = `
01 AL Alabama|04 AZ Arizona|05 AR Arkansas|06 CA California|08 CO Colorado|09 CT Connecticut|10 DE Delaware
11 DC District of Columbia|12 FL Florida|13 GA Georgia|16 ID Idaho|17 IL Illinois|18 IN Indiana|19 IA Iowa
20 KS Kansas|21 KY Kentucky|22 LA Louisiana|23 ME Maine|24 MD Maryland|25 MA Massachusetts|26 MI Michigan
27 MN Minnesota|28 MS Mississippi|29 MO Missouri|30 MT Montana|31 NE Nebraska|32 NV Nevada|33 NH New Hampshire
34 NJ New Jersey|35 NM New Mexico|36 NY New York|37 NC North Carolina|38 ND North Dakota|39 OH Ohio|40 OK Oklahoma
41 OR Oregon|42 PA Pennsylvania|44 RI Rhode Island|45 SC South Carolina|46 SD South Dakota|47 TN Tennessee
48 TX Texas|49 UT Utah|50 VT Vermont|51 VA Virginia|53 WA Washington|54 WV West Virginia|55 WI Wisconsin
56 WY Wyoming|02 AK Alaska|15 HI Hawaii`
  .split(/[|\n]/)
  .filter((line) => line.trim() !== "")
  .map((line) => {
    const [fips = "", code = "", ...name] = line.trim().split(" ");
    return { fips, code, name: name.join(" ") };
  });

/** The state that an API well number (42-227-12345…) begins with; undefined: it is none. */
export function stateOfApiNumber(wellId: string): State | undefined {
  const [, code] = /^(\d\d)-?\d{3}-?\d{5}(?:-?\d\d){0,2}$/.exec(wellId.trim()) ?? [];
  return code === undefined ? undefined : states[Number(code) - 1];
}
