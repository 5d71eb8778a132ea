import type { Command } from "commander";
import type { Cli } from "../cli.ts";
import { CliError } from "../errors.ts";
import { addressOf, type Profile, profilesFile, readProfiles, writeProfiles } from "../profiles.ts";

export function define(command: Command, cli: Cli): void {
  const { env } = cli;

  command
    .command("list")
    .description("The servers that have names; tokens are not shown")
    .action(async () => {
      const { out } = cli;
      const { profiles, default: chosen } = await readProfiles(env);
      const items = Object.entries(profiles).map(([name, { url, token, tenant }]) => ({
        name,
        url,
        token: token !== undefined,
        tenant: tenant ?? null,
        default: name === chosen,
      }));
      out.result({ file: profilesFile(env), items }, () =>
        out.table(
          items,
          [
            { title: "PROFILE", value: ({ name }) => name },
            { title: "URL", value: ({ url }) => url },
            { title: "TOKEN", value: ({ token }) => (token ? "yes" : "no") },
            { title: "TENANT", value: ({ tenant }) => tenant },
            { title: "DEFAULT", value: (profile) => (profile.default ? "yes" : null) },
          ],
          `None in ${profilesFile(env)}`,
        ),
      );
    });

  command
    .command("set")
    .description("Name the server of --url, with --token (or JOBS_TOKEN) and --tenant")
    .argument("<name>")
    .option("--default", "Use it where nothing else is named")
    .action(async (name: string, options: { default?: boolean }) => {
      const { url, tenant, token = env["JOBS_TOKEN"] } = cli.options;
      if (!/^[\w.-]{1,64}$/.test(name)) {
        throw new CliError("usage", `${name} cannot name a profile: use A-Z a-z 0-9 _ . -`);
      }
      const { profiles, default: chosen } = await readProfiles(env);
      const before: Partial<Profile> = profiles[name] ?? {};
      const address = url ?? before.url;
      if (address === undefined) throw new CliError("usage", "Give the server's address: --url");
      const profile: Profile = {
        url: addressOf(address, "--url"),
        // Another server is not given the token of the one before.
        ...(url === undefined || url === before.url ? before : {}),
        ...(token !== undefined && token !== "" && { token }),
        ...(tenant !== undefined && { tenant }),
      };
      const first = Object.keys(profiles).length === 0;
      const standard = options.default === true || first ? name : chosen;
      await writeProfiles(env, {
        ...(standard !== undefined && { default: standard }),
        profiles: { ...profiles, [name]: profile },
      });
      cli.out.result({ name, url: profile.url }, () =>
        cli.out.line(`${name} is ${profile.url}, in ${profilesFile(env)}`),
      );
    });

  command
    .command("use")
    .description("Use a profile where nothing else is named")
    .argument("<name>")
    .action(async (name: string) => {
      const { profiles } = await known(name);
      await writeProfiles(env, { default: name, profiles });
      cli.out.result({ default: name }, () => cli.out.line(`${name} is used from now on`));
    });

  command
    .command("remove")
    .description("Forget a profile")
    .argument("<name>")
    .action(async (name: string) => {
      const { profiles, default: chosen } = await known(name);
      const { [name]: _, ...rest } = profiles;
      await writeProfiles(env, {
        ...(chosen !== undefined && chosen !== name && { default: chosen }),
        profiles: rest,
      });
      cli.out.result({ removed: name }, () => cli.out.line(`${name} is forgotten`));
    });

  async function known(name: string): ReturnType<typeof readProfiles> {
    const file = await readProfiles(env);
    if (file.profiles[name] !== undefined) return file;
    throw new CliError("notFound", `There is no profile ${name} in ${profilesFile(env)}`);
  }
}
