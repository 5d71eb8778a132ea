import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Programs that are not npm packages, and the Debian packages they come in. */
const tools = {
  beanstalkd: "beanstalkd",
  chromium: "chromium",
  curl: "curl",
  faketime: "faketime",
  fish: "fish",
  nc: "netcat-openbsd",
  promtool: "prometheus",
  "redis-server": "redis-server",
  python3: "python3",
  zsh: "zsh",
} as const;

export type SystemTool = keyof typeof tools;

/** Makes sure that the programs are on the PATH; where that needs an installation, root on Debian gets one. */
export function ensureSystemTools(...names: SystemTool[]): void {
  const missing = names.filter((name) => !isOnPath(name));
  if (missing.length === 0) return;

  const packages = [...new Set(missing.map((name) => tools[name]))];
  const command = `apt-get update && apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends ${packages.join(" ")}`;
  if (process.getuid?.() !== 0 || !isOnPath("apt-get")) {
    throw new Error(
      `Needed on the PATH: ${missing.join(", ")}. On Debian or Ubuntu: sudo sh -c '${command}'`,
    );
  }

  console.log(`Installing ${packages.join(", ")} ...`);
  const { status, stdout } = spawnSync("sh", ["-c", `{ ${command}; } 2>&1`], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    // RUNLEVEL=1 keeps Debian from starting the services it installs.
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
  });
  const stillMissing = missing.filter((name) => !isOnPath(name));
  if (status !== 0 || stillMissing.length > 0) {
    throw new Error(`Could not install ${packages.join(", ")} (${command}):\n${stdout}`);
  }
}

function isOnPath(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
