/** What a process that a test starts has of this one's environment: where programs lie, and what Node has compiled before. */
export const childEnv = {
  PATH: process.env["PATH"] ?? "",
  NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? "",
};
