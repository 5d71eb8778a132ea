/**
 * The promises of the port, as tests. Every engine runs all of them; a change to the port starts here.
 */
import { describe } from "vitest";

import { describeAttempts } from "./attempts.ts";
import { describeBackup } from "./backup.ts";
import { describeBulk } from "./bulk.ts";
import { describeCancel } from "./cancel.ts";
import { describeClaims } from "./claims.ts";
import { describeCountsAndStats } from "./counts-and-stats.ts";
import { describeDelayAndTtl } from "./delay-and-ttl.ts";
import { describeDependencies } from "./dependencies.ts";
import { describeDurability } from "./durability.ts";
import type { EngineFactory } from "./engine.ts";
import { describeErrors } from "./errors.ts";
import { describeEvents } from "./events.ts";
import { describeFilters } from "./filters.ts";
import { describeGroups } from "./groups.ts";
import { describeIdempotency } from "./idempotency.ts";
import { describeLeases } from "./leases.ts";
import { describeModel } from "./model.ts";
import { describeOrder } from "./order.ts";
import { describeOutbox } from "./outbox.ts";
import { describePayloadSearch } from "./payload-search.ts";
import { describeProgress } from "./progress.ts";
import { describeQueues } from "./queues.ts";
import { describeRateLimits } from "./rate-limits.ts";
import { describeResults } from "./results.ts";
import { describeRetention } from "./retention.ts";
import { describeRuns } from "./runs.ts";
import { describeSchedules } from "./schedules.ts";
import { describeSubmit } from "./submit.ts";
import { describeTenants } from "./tenants.ts";
import { describeUniqueKeys } from "./unique-keys.ts";
import { describeWebhooks } from "./webhooks.ts";
import { describeWorkers } from "./workers.ts";

export function describeAdapter(name: string, factory: EngineFactory): void {
  // oxlint-disable-next-line vitest/valid-title -- the caller's
  describe(name, () => {
    describeSubmit(factory);
    describeOrder(factory);
    describeClaims(factory);
    describeDelayAndTtl(factory);
    describeAttempts(factory);
    describeLeases(factory);
    describeRuns(factory);
    describeCancel(factory);
    describeUniqueKeys(factory);
    describeIdempotency(factory);
    describeDependencies(factory);
    describeQueues(factory);
    describeGroups(factory);
    describeTenants(factory);
    describeProgress(factory);
    describeResults(factory);
    describeFilters(factory);
    describeErrors(factory);
    describePayloadSearch(factory);
    describeCountsAndStats(factory);
    describeSchedules(factory);
    describeWebhooks(factory);
    describeOutbox(factory);
    describeWorkers(factory);
    describeEvents(factory);
    describeBulk(factory);
    describeRetention(factory);
    describeRateLimits(factory);
    describeBackup(factory);
    describeModel(factory);
    // What is kept over a restart is a promise of engines that keep something.
    if (factory.durable) describeDurability(factory);
  });
}
