import type {
  Metadata,
  sendUnaryData,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  StatusObject,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { type JobQueue, MAX_BATCH, QueueError } from "@jobyard/core";
import type { Logger } from "@jobyard/core/process";
import type { Authenticate } from "../../auth/authenticate.ts";
import { requireAccess } from "../../auth/caller.ts";
import {
  commands,
  execute,
  giveBack,
  pull,
  PULL_ACCESS,
  type Session,
} from "../../dialects/flashq/commands.ts";
import { flashqState, type LoadedJob } from "../../dialects/flashq/mapping.ts";
import { type JobCall, JobStream, malformed, stopping } from "./job-stream.ts";
import {
  type AckBatchRequest,
  type AckRequest,
  type FailRequest,
  type GetStateRequest,
  invalid,
  jobInput,
  jobMessage,
  type JobResult,
  jsonOf,
  type PullBatchRequest,
  type PullRequest,
  type PushBatchRequest,
  type PushRequest,
  stateNames,
  type StreamJobsRequest,
} from "./messages.ts";
import { MALFORMED } from "./protocol.ts";
import { statusOf } from "./statuses.ts";

export interface CallsOptions {
  readonly queue: JobQueue;
  readonly authenticate: Authenticate;
  readonly log: Logger;
}

/** Of data in one answer: clients take messages of 4 MB unless told otherwise. */
const MAX_ANSWER_BYTES = 3_500_000;
/** Before a call's deadline its wait ends, so that no job is claimed for an answer that comes too late, ms. */
const DEADLINE_MARGIN_MS = 100;
const DEFAULT_BATCH = 100;
const DEFAULT_STREAM_PREFETCH = 1000;
const MAX_PREFETCH = 10_000;

/** What the service's methods do. */
export class Calls {
  readonly #options: CallsOptions;
  readonly #stopping = new AbortController();
  readonly streams = new Set<JobStream>();

  constructor(options: CallsOptions) {
    this.#options = options;
  }

  /** Takes on nothing more; what runs may be reported. */
  stop(): void {
    this.#stopping.abort();
    for (const stream of this.streams) stream.stop();
  }

  statusOf(error: unknown): StatusObject {
    return statusOf(error, this.#options.log);
  }

  /** @throws RequestError UNAUTHENTICATED */
  async session(metadata: Metadata): Promise<Session> {
    const { authenticate, queue } = this.#options;
    const [authorization] = metadata.get("authorization");
    return { queue, caller: await authenticate(authorization?.toString()) };
  }

  readonly methods: UntypedServiceImplementation = {
    Push: this.#unary(async (session, request: PushRequest) => {
      this.#refuseIfStopping();
      const input = { queue: request.queue, ...(await jobInput(request)) };
      return { ok: true, id: await execute(session, commands.push, input) };
    }),

    PushBatch: this.#unary(async (session, { queue, jobs }: PushBatchRequest) => {
      this.#refuseIfStopping();
      const inputs: object[] = [];
      for (const [i, job] of jobs.entries()) inputs.push(await jobInput(job, `jobs[${i}].`));
      const ids = await execute(session, commands.pushBatch, { queue, jobs: inputs });
      return { ok: true, ids };
    }),

    Pull: this.#unary(async (session, { queue, worker }: PullRequest, call) => {
      const [job] = await this.#pull(session, call, { queue, worker, count: 1 });
      if (job !== undefined) return jobMessage(job);
      throw new QueueError("WAIT_TIMEOUT", "No job came before the deadline");
    }),

    PullBatch: this.#unary(async (session, { queue, count, worker }: PullBatchRequest, call) => {
      if (count > MAX_BATCH) throw invalid("count", `Must be at most ${MAX_BATCH}`);
      const jobs = await this.#pull(session, call, { queue, worker, count: count || 1 });
      return { jobs: jobs.map(jobMessage) };
    }),

    Ack: this.#unary(async (session, { id, result, lease }: AckRequest) => {
      const value = result?.length ? await jsonOf(result, "result") : undefined;
      await execute(session, commands.ack, { id, lease, result: value });
      return { ok: true };
    }),

    AckBatch: this.#unary(async (session, { ids }: AckBatchRequest) => {
      return { ok: true, acked: await execute(session, commands.ackBatch, { ids }) };
    }),

    Fail: this.#unary(async (session, { id, error, lease }: FailRequest) => {
      await execute(session, commands.fail, { id, error, lease });
      return { ok: true };
    }),

    GetState: this.#unary(async (session, { id }: GetStateRequest) => {
      const { state } = await execute(session, commands.getState, { id });
      return { id, state: stateNames[flashqState(state)] };
    }),

    Stats: this.#unary((session) => execute(session, commands.stats, {})),

    StreamJobs: (call: ServerWritableStream<StreamJobsRequest, object>) => {
      void this.#open(call, (session) => {
        const { request } = call;
        if ((request as unknown) === MALFORMED) throw malformed();
        const { queue, batch_size: batch, prefetch } = request;
        if (queue === "") throw invalid("queue", "Required field missing");
        if (batch > MAX_BATCH) throw invalid("batch_size", `Must be at most ${MAX_BATCH}`);
        const stream = this.#stream(call, session, {
          queue,
          batch: batch || DEFAULT_BATCH,
          prefetch: prefetch || DEFAULT_STREAM_PREFETCH,
        });
        void stream.begin();
      });
    },

    ProcessJobs: (call: ServerDuplexStream<JobResult, object>) => {
      void this.#open(call, (session) => {
        const [queue] = call.metadata.get("queue");
        const [prefetch = "1"] = call.metadata.get("prefetch");
        const [worker] = call.metadata.get("worker");
        if (!/^\d{1,5}$/.test(prefetch.toString())) {
          throw invalid("prefetch", `Must be a whole number from 1 to ${MAX_PREFETCH}`);
        }
        const stream = this.#stream(call, session, {
          ...(queue === undefined ? {} : { queue: queue.toString() }),
          batch: MAX_BATCH,
          prefetch: Number(prefetch.toString()) || 1,
          ...(worker === undefined ? {} : { worker: worker.toString() }),
        });
        stream.process(call);
      });
    },
  };

  #unary<Request>(
    answer: (
      session: Session,
      request: Request,
      call: ServerUnaryCall<Request, object>,
    ) => Promise<object>,
  ) {
    return (call: ServerUnaryCall<Request, object>, respond: sendUnaryData<object>): void => {
      const { request } = call;
      this.session(call.metadata)
        .then((session) => {
          if (request === MALFORMED) throw malformed();
          return answer(session, request, call);
        })
        .then(
          (message) => respond(null, message),
          (error: unknown) => respond(this.statusOf(error)),
        );
    };
  }

  async #pull(
    session: Session,
    call: ServerUnaryCall<unknown, object>,
    asked: { readonly queue: string; readonly worker?: string | undefined; readonly count: number },
  ): Promise<readonly LoadedJob[]> {
    this.#refuseIfStopping();
    if (call.cancelled) return [];
    const gone = new AbortController();
    call.once("cancelled", () => gone.abort());
    const { queue, worker = null, count } = asked;
    const deadline = Number(call.getDeadline());
    const jobs = await pull(session, {
      queue,
      worker,
      count,
      waitMs: Math.max(0, deadline - Date.now() - DEADLINE_MARGIN_MS),
      maxBytes: MAX_ANSWER_BYTES,
      signal: AbortSignal.any([gone.signal, this.#stopping.signal]),
    });
    if (jobs.length === 0) this.#refuseIfStopping();
    if (!gone.signal.aborted) return jobs;
    await giveBack(
      session,
      jobs.map(({ job }) => ({ id: job.id, lease: job.lease as string })),
    );
    return [];
  }

  async #open(call: JobCall, begin: (session: Session) => void): Promise<void> {
    try {
      const session = await this.session(call.metadata);
      this.#refuseIfStopping();
      requireAccess(session.caller, PULL_ACCESS);
      if (!call.cancelled) begin(session);
    } catch (error) {
      if (!call.cancelled) call.emit("error", this.statusOf(error));
    }
  }

  #stream(
    call: JobCall,
    session: Session,
    wanted: {
      readonly queue?: string;
      readonly batch: number;
      readonly prefetch: number;
      readonly worker?: string;
    },
  ): JobStream {
    const { prefetch, worker = null } = wanted;
    if (prefetch > MAX_PREFETCH) throw invalid("prefetch", `Must be at most ${MAX_PREFETCH}`);
    const stream = new JobStream(call, {
      ...wanted,
      session,
      worker,
      statusOf: (error) => this.statusOf(error),
      onOver: () => this.streams.delete(stream),
    });
    this.streams.add(stream);
    return stream;
  }

  #refuseIfStopping(): void {
    if (this.#stopping.signal.aborted) throw stopping();
  }
}
