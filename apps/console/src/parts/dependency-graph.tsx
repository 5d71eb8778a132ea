import type { Schemas } from "@jobyard/sdk";
import { useLocation } from "wouter-preact";
import { usePreferences } from "../preferences.tsx";
import { cut } from "./plain.tsx";
import type { JobState } from "./state-badge.tsx";

interface Part {
  readonly id: string;
  readonly name: string | null;
  readonly state: JobState | "gone";
}

interface DependencyGraphProps {
  readonly job: Part;
  readonly dependsOn: readonly Schemas["Job"][];
  readonly dependents: readonly Schemas["Job"][];
  readonly gone: readonly string[];
  readonly totalDependents: number;
}

/** On each side; the rest is a number. */
const SHOWN = 6;
const WIDTH = 190;
const HEIGHT = 44;
const GAP = 12;
const COLUMN = 260;

/** What a job waits for on its left, what waits for it on its right. */
export function DependencyGraph({
  job,
  dependsOn,
  dependents,
  gone,
  totalDependents,
}: DependencyGraphProps) {
  const { t, formats } = usePreferences();
  const before: Part[] = [
    ...dependsOn,
    ...gone.map((id) => ({ id, name: null, state: "gone" as const })),
  ];
  const left = before.slice(0, SHOWN);
  const right = dependents.slice(0, SHOWN);
  const rows = Math.max(left.length, right.length, 1);
  const height = rows * (HEIGHT + GAP) + 20;
  const middle = (height - 20 - HEIGHT) / 2;
  const y = (n: number, of: number): number =>
    ((rows - of) * (HEIGHT + GAP)) / 2 + n * (HEIGHT + GAP);
  const bend = (fromX: number, fromY: number, toX: number, toY: number): string =>
    `M${fromX},${fromY} C${fromX + 35},${fromY} ${toX - 35},${toY} ${toX},${toY}`;
  return (
    <div class="graph" tabIndex={0} role="group" aria-label={t("dependencies")}>
      <svg width={COLUMN * 2 + WIDTH} height={height}>
        {left.map((one, n) => (
          <path
            key={one.id}
            d={bend(WIDTH, y(n, left.length) + HEIGHT / 2, COLUMN, middle + HEIGHT / 2)}
          />
        ))}
        {right.map((one, n) => (
          <path
            key={one.id}
            d={bend(
              COLUMN + WIDTH,
              middle + HEIGHT / 2,
              COLUMN * 2,
              y(n, right.length) + HEIGHT / 2,
            )}
          />
        ))}
        {left.map((one, n) => (
          <Box key={one.id} part={one} x={0} y={y(n, left.length)} />
        ))}
        <Box part={job} x={COLUMN} y={middle} own />
        {right.map((one, n) => (
          <Box key={one.id} part={one} x={COLUMN * 2} y={y(n, right.length)} />
        ))}
        {before.length > SHOWN && (
          <text x={0} y={height - 4}>
            {t("moreEntries", { n: formats.number(before.length - SHOWN) })}
          </text>
        )}
        {totalDependents > right.length && (
          <text x={COLUMN * 2} y={height - 4}>
            {t("moreEntries", { n: formats.number(totalDependents - right.length) })}
          </text>
        )}
      </svg>
    </div>
  );
}

interface BoxProps {
  readonly part: Part;
  readonly x: number;
  readonly y: number;
  readonly own?: boolean;
}

function Box({ part: { id, name, state }, x, y, own = false }: BoxProps) {
  const { t } = usePreferences();
  const [, navigate] = useLocation();
  const box = (
    <g class={`box ${state} ${own ? "own" : ""}`} transform={`translate(${x + 1} ${y + 1})`}>
      <rect width={WIDTH - 2} height={HEIGHT - 2} rx={6} />
      <text x={10} y={18}>
        {cut(`${id} ${name ?? ""}`, 24)}
      </text>
      <text x={10} y={34} class="state">
        {t(state)}
      </text>
    </g>
  );
  if (own || state === "gone") return box;
  return (
    <a
      href={`/console/jobs/${id}`}
      onClick={(event) => {
        event.preventDefault();
        navigate(`/jobs/${id}`);
      }}
    >
      {box}
    </a>
  );
}
