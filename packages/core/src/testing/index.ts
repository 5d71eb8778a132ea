/** What tests of engines and of their users need: a clock that can be moved, jobs, and the port's promises. */
export { describeAdapter } from "./conformance/index.ts";
export type { Engine, EngineFactory } from "./conformance/engine.ts";
export { jobSpec, jobSpecs } from "./job-factory.ts";
export { VirtualClock } from "./virtual-clock.ts";
