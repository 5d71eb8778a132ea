import { DialectClient } from "./dialect-client.ts";
import { base, type operations, routes } from "./generated/flashq.ts";
import type { ClientOptions } from "./http.ts";

export { DialectClient } from "./dialect-client.ts";
export { JobyardError } from "./errors.ts";
export type { ClientOptions } from "./http.ts";
export type { components, operations } from "./generated/flashq.ts";

export class FlashqClient extends DialectClient<operations> {
  constructor(options: ClientOptions) {
    super(base, routes, options);
  }
}
