import { spawn } from "node:child_process";

export const stopSignals = ["SIGTERM", "SIGINT"] as const;

type Environment = Readonly<Record<string, string | undefined>>;

/** Set where this process was started by a launcher. */
const LAUNCHED = "JOBYARD_LAUNCHED";
/** A launched process ends with it to be started anew; as sysexits.h has it: try again. */
const EX_TEMPFAIL = 75;

/**
 * Puts another process in this one's place. Whoever watches this process by its id goes on doing so: it stays as the launcher of
 * its successors, hands on signals, and ends as they do. A process that has a launcher leaves that to it.
 */
export function succeed(env: Environment): void {
  if (env[LAUNCHED] !== undefined) process.exit(EX_TEMPFAIL);
  let child = launch();
  for (const signal of stopSignals) process.on(signal, () => child.kill(signal));
  function launch(): ReturnType<typeof spawn> {
    const [node = process.execPath, ...args] = process.argv;
    const started = spawn(node, [...process.execArgv, ...args], {
      // The channel tells the successor when its launcher dies.
      stdio: ["inherit", "inherit", "inherit", "ipc"],
      env: { ...env, [LAUNCHED]: "true" },
    });
    started.on("exit", (code) => {
      if (code === EX_TEMPFAIL) child = launch();
      else process.exit(code ?? 1);
    });
    return started;
  }
}

/** Nobody else would end a launched process whose launcher was killed. */
export function onLauncherGone(env: Environment, then: () => void): void {
  if (env[LAUNCHED] !== undefined) process.once("disconnect", then);
}
