import { DialectClient } from "./dialect-client.ts";
import { base, type operations, routes } from "./generated/v1.ts";
import type { ClientOptions } from "./http.ts";

export { DialectClient } from "./dialect-client.ts";
export { JobyardError } from "./errors.ts";
export type { ClientOptions } from "./http.ts";
export type { components, operations } from "./generated/v1.ts";

export class V1Client extends DialectClient<operations> {
  constructor(options: ClientOptions) {
    super(base, routes, options);
  }
}
