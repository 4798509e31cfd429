import {
  actOnContainer,
  attachContainer,
  inspectContainer,
  waitForContainer,
} from "../../../client/containers.ts";
import { atLeast, type Cli, defineCommand, messageOf } from "../../command.ts";
import { detachKeysFlag } from "../../flags/common-flags.ts";
import { bool, string } from "../../flags/flags.ts";
import { endAfterThreeSignals, followTerminalSize, forwardSignals, Session } from "../../terminal/session.ts";
import { exitStatus } from "./run.ts";

export const command = defineCommand({
  use: "start [OPTIONS] CONTAINER [CONTAINER...]",
  short: "Start one or more stopped containers",
  aliases: "container start, start",
  args: atLeast(1),
  flags: {
    attach: bool({ short: "a", usage: "Attach STDOUT/STDERR and forward signals" }),
    checkpoint: string({ usage: "Restore from this checkpoint", hidden: true }),
    "checkpoint-dir": string({ usage: "Use a custom checkpoint storage directory", hidden: true }),
    "detach-keys": detachKeysFlag,
    interactive: bool({ short: "i", usage: "Attach container's STDIN" }),
  },
  async run({ flags, args, cli }) {
    const restore = {
      ...(flags.checkpoint && { checkpoint: flags.checkpoint }),
      ...(flags["checkpoint-dir"] && { "checkpoint-dir": flags["checkpoint-dir"] }),
    };
    if (flags.attach || flags.interactive) {
      if (args.length > 1) throw new Error("you cannot start and attach multiple containers at once");
      const detachKeys = flags["detach-keys"] || (cli.config.settings.detachKeys ?? "");
      const { interactive } = flags;
      return await startAttached(cli, args[0] as string, { interactive, detachKeys, restore });
    }
    if (flags.checkpoint !== "") {
      if (args.length > 1) throw new Error("you cannot restore multiple containers at once");
      await actOnContainer(cli.engine, args[0] as string, "start", restore);
      return 0;
    }
    const failed: string[] = [];
    for (const name of args) {
      try {
        await actOnContainer(cli.engine, name, "start");
        cli.stdout.line(name);
      } catch (error) {
        cli.stderr.line(messageOf(error));
        failed.push(name);
      }
    }
    if (failed.length > 0) throw new Error(`Error: failed to start containers: ${failed.join(", ")}`);
    return 0;
  },
});

interface AttachedStart {
  readonly interactive: boolean;
  readonly detachKeys: string;
  /** Which checkpoint to go on from, as a start request names it. */
  readonly restore: Readonly<Record<string, string>>;
}

async function startAttached(
  cli: Cli,
  name: string,
  { interactive, detachKeys, restore }: AttachedStart,
): Promise<number> {
  const { Id: id = name, Config, HostConfig } = await inspectContainer(cli.engine, name);
  const tty = Config?.Tty ?? false;
  if (!tty) forwardSignals(cli, id);
  const streams = {
    stdin: interactive && (Config?.OpenStdin ?? false),
    stdout: true,
    stderr: true,
    detachKeys,
  };
  const [connection, waiting] = await Promise.all([
    attachContainer(cli.engine, id, streams),
    waitForContainer(cli.engine, id, { condition: HostConfig?.AutoRemove ? "removed" : "next-exit" }),
  ]);
  const session = new Session(cli, connection, { ...streams, tty });
  endAfterThreeSignals(cli, () => session.close());
  const streaming = session.run();
  streaming.catch(() => {});
  try {
    await actOnContainer(cli.engine, id, "start", restore);
  } catch (error) {
    session.close();
    if (HostConfig?.AutoRemove) await exitStatus(cli, waiting);
    throw error;
  }
  if (tty && cli.stdout.isTerminal)
    followTerminalSize(cli, (size) => actOnContainer(cli.engine, id, "resize", size));
  return (await streaming) === "detached" ? 0 : await exitStatus(cli, waiting);
}
