import type { QueueSettings, StateCounts } from "../../queue-adapter.ts";
import type { QueueGroup } from "../../queue-groups.ts";
import type { PayloadIndex } from "./payload-indexes.ts";
import { ReadyOrder } from "./ready-order.ts";

export type Counts = { -readonly [State in keyof StateCounts]: number };

export function noCounts(): Counts {
  return { waiting: 0, delayed: 0, blocked: 0, active: 0, completed: 0, failed: 0, cancelled: 0 };
}

/** One tenant's part of a group of queues. */
export interface LaneGroup extends QueueGroup {
  readonly lanes: Set<Lane>;
}

/** One tenant's part of one queue. */
export interface Lane {
  readonly no: number;
  readonly tenant: string;
  readonly queue: string;
  typed: boolean;
  paused: boolean;
  rateLimit: number | null;
  concurrency: number | null;
  indexes: readonly PayloadIndex[] | null;
  readonly counts: Counts;
  readonly ready: ReadyOrder;
  readonly group: LaneGroup | null;
  /** Of the current rate window: when it ends, and the starts in it. */
  windowEnd: number;
  windowStarts: number;
  /** Whether claims can take from it now; it is in its queue's ring exactly then. */
  claimable: boolean;
  /** The events that webhooks ask for, a bit each by its place in `eventTypes`. */
  asked: number;
}

/** A window of the rate limit, which is stated per second. */
export const RATE_WINDOW_MS = 1000;

/** How many more jobs may start now. */
export function startsLeft(lane: Lane, now: number): number {
  if (lane.paused) return 0;
  let left = lane.counts.waiting;
  if (lane.concurrency !== null) left = Math.min(left, lane.concurrency - lane.counts.active);
  if (lane.rateLimit !== null) {
    left = Math.min(
      left,
      now < lane.windowEnd ? lane.rateLimit - lane.windowStarts : lane.rateLimit,
    );
  }
  if (lane.group !== null) left = Math.min(left, runsLeft(lane.group));
  return Math.max(0, left);
}

/** A lane's settings, as the port shows them. */
export function settingsOf({ paused, rateLimit, concurrency, indexes }: Lane): QueueSettings {
  const indexedPaths = (indexes ?? []).map(({ path }) => path);
  return { paused, rateLimit, concurrency, indexedPaths };
}

function runsLeft({ maxRunning, lanes }: LaneGroup): number {
  if (maxRunning === null) return Infinity;
  let left = maxRunning;
  for (const { counts } of lanes) left -= counts.active;
  return left;
}

/** How many more jobs the group takes. */
export function roomLeft({ maxUnfinished, lanes }: LaneGroup): number {
  if (maxUnfinished === null) return Infinity;
  let left = maxUnfinished;
  for (const { counts } of lanes) {
    left -= counts.waiting + counts.delayed + counts.blocked + counts.active;
  }
  return left;
}

export interface LaneRow {
  readonly no: number;
  readonly tenant: string;
  readonly queue: string;
  readonly typed: boolean;
  readonly paused: boolean;
  readonly rateLimit: number | null;
  readonly concurrency: number | null;
}

/** All lanes, by number, by tenant and queue, and, those that claims can take from, by queue in turn order. */
export class Lanes {
  readonly #byNo = new Map<number, Lane>();
  readonly #byTenant = new Map<string, Map<string, Lane>>();
  readonly #rings = new Map<string, Set<Lane>>();
  /** By queue. */
  readonly #groups = new Map<string, QueueGroup>();
  /** By tenant and name. */
  readonly #laneGroups = new Map<string, LaneGroup>();

  readonly #askedOf: (tenant: string, queue: string) => number;

  constructor(groups: readonly QueueGroup[], askedOf: (tenant: string, queue: string) => number) {
    this.#askedOf = askedOf;
    for (const group of groups) for (const queue of group.queues) this.#groups.set(queue, group);
  }

  add(row: LaneRow): Lane {
    const group = this.groupOf(row.tenant, row.queue);
    const lane: Lane = {
      ...row,
      group,
      indexes: null,
      counts: noCounts(),
      ready: new ReadyOrder(),
      windowEnd: 0,
      windowStarts: 0,
      claimable: false,
      asked: this.#askedOf(row.tenant, row.queue),
    };
    group?.lanes.add(lane);
    this.#byNo.set(lane.no, lane);
    let tenant = this.#byTenant.get(lane.tenant);
    if (tenant === undefined) this.#byTenant.set(lane.tenant, (tenant = new Map()));
    tenant.set(lane.queue, lane);
    return lane;
  }

  drop(lane: Lane): void {
    this.setClaimable(lane, false);
    lane.group?.lanes.delete(lane);
    // Only itself: a later lane may have its number or its place.
    if (this.#byNo.get(lane.no) === lane) this.#byNo.delete(lane.no);
    const tenant = this.#byTenant.get(lane.tenant);
    if (tenant?.get(lane.queue) === lane) tenant.delete(lane.queue);
  }

  groupOf(tenant: string, queue: string): LaneGroup | null {
    const group = this.#groups.get(queue);
    if (group === undefined) return null;
    const key = `${tenant} ${group.name}`;
    let known = this.#laneGroups.get(key);
    if (known === undefined) {
      this.#laneGroups.set(key, (known = { ...group, lanes: new Set() }));
    }
    return known;
  }

  get(no: number): Lane | undefined {
    return this.#byNo.get(no);
  }

  find(tenant: string, queue: string): Lane | undefined {
    return this.#byTenant.get(tenant)?.get(queue);
  }

  ofTenant(tenant: string): Iterable<Lane> {
    return this.#byTenant.get(tenant)?.values() ?? [];
  }

  queuesOf(tenant: string): number {
    return this.#byTenant.get(tenant)?.size ?? 0;
  }

  all(): Iterable<Lane> {
    return this.#byNo.values();
  }

  /** Lanes of one queue that claims can take from, whose turn comes first in front. */
  ring(queue: string): ReadonlySet<Lane> | undefined {
    return this.#rings.get(queue);
  }

  rings(): IterableIterator<[string, ReadonlySet<Lane>]> {
    return this.#rings.entries();
  }

  setClaimable(lane: Lane, claimable: boolean): void {
    if (lane.claimable === claimable) return;
    lane.claimable = claimable;
    let ring = this.#rings.get(lane.queue);
    if (claimable) {
      if (ring === undefined) this.#rings.set(lane.queue, (ring = new Set()));
      ring.add(lane);
    } else if (ring !== undefined) {
      ring.delete(lane);
      if (ring.size === 0) this.#rings.delete(lane.queue);
    }
  }

  /** The lane had its turn. */
  toBack(lane: Lane): void {
    const ring = this.#rings.get(lane.queue);
    if (ring !== undefined && ring.size > 1 && ring.delete(lane)) ring.add(lane);
  }
}
