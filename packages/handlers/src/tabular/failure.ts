/** A failure that the engine tells; becomes a `HandlerError` in the worker. The engine loads no core: it starts often. */
export class EngineFailure extends Error {
  override readonly name = "EngineFailure";
  readonly code: string;
  readonly stage: string;
  /** The file or the data can never succeed. */
  readonly dataFault: boolean;

  constructor(
    code: string,
    message: string,
    options: { readonly stage: string; readonly dataFault: boolean; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.stage = options.stage;
    this.dataFault = options.dataFault;
  }
}

/** The file's own fault, told by its name as the producer knows it. */
export function badFile(message: string, code = "INVALID_FILE"): EngineFailure {
  return new EngineFailure(code, message, { dataFault: true, stage: "read" });
}
