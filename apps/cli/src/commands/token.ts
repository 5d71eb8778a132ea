import { type Command, Option } from "commander";
import type { Cli } from "../cli.ts";
import { duration } from "../values.ts";

interface Options {
  readonly role: "ADMIN" | "OPERATOR" | "MANAGER";
  readonly subject: string;
  readonly expires: number;
}

const DAY_MS = 86_400_000;

export function define(command: Command, cli: Cli): void {
  command
    .command("create")
    .description(
      "Sign a token for a server with the same settings: JWT_SECRET, or DATA_DIR where no token is configured. --tenant says whose (default: default; `*`: all)",
    )
    .addOption(
      new Option("--role <role>", "ADMIN: all; OPERATOR: jobs; MANAGER: reads")
        .choices(["ADMIN", "OPERATOR", "MANAGER"])
        .default("ADMIN"),
    )
    .option("--subject <who>", "For the audit log", "developer")
    .option("--expires <duration>", "Ends after", duration, 30 * DAY_MS)
    .action(async ({ role, subject, expires }: Options) => {
      const [{ issueToken }, { parseConfig }] = await Promise.all([
        import("@jobyard/api/issue-token"),
        import("@jobyard/core"),
      ]);
      const { tenant = "default" } = cli.options;
      const wish = { role, tenant, subject, lifetimeMs: expires };
      const token = await issueToken(parseConfig(cli.env), wish);
      cli.out.result({ token }, () => cli.out.line(token));
    });

  command
    .command("show")
    .description("What the token in use may do, and which server answers")
    .action(async () => {
      const { url, from } = await cli.connection();
      const me = await (await cli.client()).whoami();
      const { subject, tenant, roles, may, open, expiresAt, server } = me;
      cli.out.result(me, () =>
        cli.out.fields({
          server: `${url} (${from}), version ${server.version}`,
          who: subject ?? (open ? "anyone on this machine" : null),
          tenant: tenant === "*" ? "all" : tenant,
          roles: roles.join(", "),
          may: may.join(", "),
          expires: expiresAt,
        }),
      );
    });
}
