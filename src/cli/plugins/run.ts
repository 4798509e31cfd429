/** Runs a CLI plugin in the client's place: its arguments, its terminal, its exit status. */
import type { CliPlugin } from "./find.ts";

export interface PluginRun {
  /** All arguments of the client: plugins understand its global flags. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where this client's engine is, for plugins that would look in Docker's own place; undefined if they are told already. */
  readonly address: string | undefined;
  /** As the client was called. */
  readonly program: string;
}

const FORWARDED = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGWINCH"] as const;

/** @returns its exit status; 128 + n when a signal ended it */
export async function runPlugin(
  { Path }: CliPlugin,
  { args, environment, address, program }: PluginRun,
): Promise<number> {
  // A terminal sends ^C to both: the plugin decides what it means.
  process.on("SIGINT", () => {});
  const child = Bun.spawn([Path, ...args], {
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
    env: {
      ...environment,
      ...(address !== undefined && { DOCKER_HOST: address }),
      DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND: program,
    },
  });
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal));
  return await child.exited;
}
