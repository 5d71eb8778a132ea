/** What can be wrong with a request before any queue is asked. Closed, like core's error codes. */
export type RequestFault =
  /** No token, or a bad one. */
  | "UNAUTHENTICATED"
  /** The caller's role may not, or the request comes from a page of another origin. */
  | "FORBIDDEN"
  | "ROUTE_NOT_FOUND"
  /** There is such a route, and such a job where one is named, but no file of that name. */
  | "FILE_NOT_FOUND"
  | "METHOD_NOT_ALLOWED";

export class RequestError extends Error {
  readonly fault: RequestFault;
  /** For the answer. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    fault: RequestFault,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.name = "RequestError";
    this.fault = fault;
    this.headers = headers;
  }
}
