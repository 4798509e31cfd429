import {
  actOnContainer,
  attachContainer,
  type Waiting,
  waitForContainer,
} from "../../../client/containers.ts";
import { createFromBody, toCheckedBody, withHelp } from "../../actions/create-container.ts";
import { atLeast, type Cli, defineCommand, messageOf, StatusError } from "../../command.ts";
import type { CreateBody } from "../../options/container-config.ts";
import { runFlags } from "../../options/container-flags.ts";
import { logError } from "../../terminal/log.ts";
import {
  checkTerminal,
  endAfterThreeSignals,
  followTerminalSize,
  forwardSignals,
  Session,
} from "../../terminal/session.ts";

export const command = defineCommand({
  use: "run [OPTIONS] IMAGE [COMMAND] [ARG...]",
  short: "Create and run a new container from an image",
  aliases: "container run, run",
  args: atLeast(1),
  flags: runFlags,
  interspersed: false,
  async run({ flags, changed, args: [image = "", ...command], cli }) {
    const body = toCheckedBody(cli, "run", { flags, changed, image, command });
    if (flags.detach) {
      if (flags.attach.length > 0) {
        throw new Error("conflicting options: cannot specify both --attach and --detach");
      }
      Object.assign(body, { AttachStdin: false, AttachStdout: false, AttachStderr: false, StdinOnce: false });
    } else {
      checkTerminal(cli, { stdin: body.AttachStdin ?? false, tty: flags.tty });
    }
    const id = await createFromBody(cli, body, flags).catch((error: unknown) => {
      throw toRunError(cli, error);
    });
    if (!body.AttachStdin && !body.AttachStdout && !body.AttachStderr) {
      cli.stdout.line(id);
      await startDetached(cli, id, flags.rm);
      return 0;
    }
    return await runAttached(cli, id, body, {
      remove: flags.rm,
      forward: flags["sig-proxy"],
      detachKeys: flags["detach-keys"] || (cli.config.settings.detachKeys ?? ""),
    });
  },
});

/** After a failed start, a container that removes itself is waited for: its name is free again then. */
async function startDetached(cli: Cli, id: string, remove: boolean): Promise<void> {
  const waiting = remove ? await waitForContainer(cli.engine, id, { condition: "removed" }) : undefined;
  try {
    await actOnContainer(cli.engine, id, "start");
  } catch (error) {
    if (waiting) await exitStatus(cli, waiting);
    throw toRunError(cli, error);
  }
}

interface AttachedOptions {
  /** The container goes away when it ends: wait for that. */
  readonly remove: boolean;
  /** Pass signals on. */
  readonly forward: boolean;
  readonly detachKeys: string;
}

/** Starts a container with our streams joined to it. @returns its exit status */
async function runAttached(
  cli: Cli,
  id: string,
  body: CreateBody,
  { remove, forward, detachKeys }: AttachedOptions,
): Promise<number> {
  const streams = {
    stdin: body.AttachStdin ?? false,
    stdout: body.AttachStdout ?? false,
    stderr: body.AttachStderr ?? false,
    detachKeys,
  };
  if (forward) forwardSignals(cli, id);
  // Attached and waiting before the start: neither first bytes nor a quick end can be missed.
  const [connection, waiting] = await Promise.all([
    attachContainer(cli.engine, id, streams),
    waitForContainer(cli.engine, id, { condition: remove ? "removed" : "next-exit" }),
  ]);
  const session = new Session(cli, connection, { ...streams, tty: body.Tty ?? false });
  endAfterThreeSignals(cli, () => session.close());
  const streaming = session.run();
  streaming.catch(() => {});
  try {
    await actOnContainer(cli.engine, id, "start");
  } catch (error) {
    session.close();
    if (remove) await exitStatus(cli, waiting);
    throw toRunError(cli, error);
  }
  if (body.Tty && cli.stdout.isTerminal)
    followTerminalSize(cli, (size) => actOnContainer(cli.engine, id, "resize", size));
  // Without output there is nothing to drain: the container's end is the end.
  if (!streams.stdout && !streams.stderr) {
    const status = await Promise.race([exitStatus(cli, waiting), streaming.then((end) => end)]);
    session.close();
    return status === "detached" ? 0 : status === "ended" ? await exitStatus(cli, waiting) : status;
  }
  return (await streaming) === "detached" ? 0 : await exitStatus(cli, waiting);
}

/** The status that a wait brings; 125 if it brings none. */
export async function exitStatus(cli: Cli, waiting: Waiting): Promise<number> {
  try {
    const { StatusCode, Error: failure } = await waiting.result;
    if (!failure?.Message) return StatusCode;
    logError(cli.stderr, `Error waiting for container: ${failure.Message}`);
  } catch (error) {
    logError(cli.stderr, `error waiting for container: ${messageOf(error)}`);
  }
  return 125;
}

/** 127 for a command that is not there, 126 for one that may not be run, else 125, by the engine's words. */
function toRunError(cli: Cli, error: unknown): StatusError {
  const message = messageOf(error);
  const missing = [
    "executable file not found",
    "no such file or directory",
    "system cannot find the file specified",
  ];
  const forbidden = ["permission denied", "is a directory"];
  const status = missing.some((words) => message.includes(words))
    ? 127
    : forbidden.some((words) => message.includes(words))
      ? 126
      : 125;
  return new StatusError(withHelp(cli, error, "run"), status, { cause: error });
}
