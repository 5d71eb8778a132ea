import type { Dialect } from "../dialect.ts";
import { batch } from "./batch/routes.ts";
import { flashq } from "./flashq/routes.ts";
import { native } from "./native/routes.ts";
import { v1 } from "./v1/routes.ts";
import { wellflow } from "./wellflow/routes.ts";

/**
 * Every HTTP interface: what is in this list is served, documented and tested against hostile input. The first whose prefix
 * fits answers for a path; flashQ owns the root.
 */
export const dialects: readonly Dialect[] = [wellflow, v1, batch, native, flashq];
