import type { Config } from "@jobyard/core";

/** Wherever they stand. */
const secrets = new Set([
  "jwtSecret",
  "apiTokens",
  "metricsToken",
  "pass",
  "secretAccessKey",
  "sessionToken",
  "accessKeyId",
  "apiKey",
]);

/** Addresses that can hold a user's name and password; there may be several, comma-separated. */
const addresses = new Set(["redisUrl", "jwksUrl", "url", "workerServiceUrl", "endpoint"]);

/** The settings without what must not be shown; what is set is told as `***`. */
export function masked(config: Config): unknown {
  return JSON.parse(JSON.stringify(config), (key, value: unknown) => {
    if (value === null || (Array.isArray(value) && value.length === 0)) return value;
    if (secrets.has(key)) return "***";
    return addresses.has(key) && typeof value === "string" ? maskedAddress(value) : value;
  });
}

/** Without the name and password that it may hold; there may be several, comma-separated. */
export function maskedAddress(address: string): string {
  return address.split(",").map(withoutUser).join(",");
}

function withoutUser(address: string): string {
  if (!URL.canParse(address)) return "***";
  const url = new URL(address);
  if (url.username !== "") url.username = "***";
  if (url.password !== "") url.password = "***";
  // Keys are sent as parameters, too.
  if (url.search !== "") url.search = "?***";
  return url.toString();
}
