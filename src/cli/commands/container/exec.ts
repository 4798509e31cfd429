import {
  createExec,
  inspectContainer,
  inspectExec,
  resizeExec,
  startExec,
  startExecDetached,
} from "../../../client/containers.ts";
import { atLeast, type Cli, defineCommand } from "../../command.ts";
import { detachKeysFlag } from "../../flags/common-flags.ts";
import { bool, list, string } from "../../flags/flags.ts";
import { checkEnvironment, readKeyValueFile, resolveEnvironment } from "../../options/key-values.ts";
import { checkTerminal, DETACHED_MESSAGE, followTerminalSize, Session } from "../../terminal/session.ts";

export const command = defineCommand({
  use: "exec [OPTIONS] CONTAINER COMMAND [ARG...]",
  short: "Execute a command in a running container",
  aliases: "container exec, exec",
  args: atLeast(2),
  flags: {
    detach: bool({ short: "d", usage: "Detached mode: run command in the background" }),
    "detach-keys": detachKeysFlag,
    env: list({ short: "e", usage: "Set environment variables", check: checkEnvironment }),
    "env-file": list({ usage: "Read in a file of environment variables" }),
    interactive: bool({ short: "i", usage: "Keep STDIN open even if not attached" }),
    privileged: bool({ usage: "Give extended privileges to the command" }),
    tty: bool({ short: "t", usage: "Allocate a pseudo-TTY" }),
    user: string({ short: "u", usage: 'Username or UID (format: "<name|uid>[:<group|gid>]")' }),
    workdir: string({ short: "w", usage: "Working directory inside the container" }),
  },
  interspersed: false,
  async run({ flags, args: [name = "", ...Cmd], cli }) {
    const lookup = (variable: string): string | undefined => cli.environment[variable];
    const { detach, tty } = flags;
    const stdin = flags.interactive && !detach;
    const detachKeys = flags["detach-keys"] || (cli.config.settings.detachKeys ?? "");
    const Env = [
      ...flags["env-file"].flatMap((path) => readKeyValueFile(path, lookup)),
      ...resolveEnvironment(flags.env, lookup),
    ];
    if (!detach && stdin && tty && !cli.stdin.isTerminal) {
      // That the container is missing is told before that the terminal is.
      await inspectContainer(cli.engine, name);
      checkTerminal(cli, { stdin, tty });
    }
    const { rows, columns } = tty ? cli.stdout.size : { rows: 0, columns: 0 };
    const size = tty ? { ConsoleSize: [rows, columns] } : {};
    const id = await createExec(cli.engine, name, {
      User: flags.user,
      Privileged: flags.privileged,
      Tty: tty,
      ...size,
      AttachStdin: stdin,
      AttachStderr: !detach,
      AttachStdout: !detach,
      DetachKeys: detachKeys,
      Env,
      WorkingDir: flags.workdir,
      Cmd,
    });
    if (detach) {
      await startExecDetached(cli.engine, id, { Detach: true, Tty: tty, ...size });
      return 0;
    }
    return await runInteractive(cli, id, { tty, stdin, detachKeys, size });
  },
});

interface ExecSession {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly detachKeys: string;
  readonly size: object;
}

async function runInteractive(
  cli: Cli,
  id: string,
  { tty, stdin, detachKeys, size }: ExecSession,
): Promise<number> {
  const connection = await startExec(cli.engine, id, { Detach: false, Tty: tty, ...size });
  const session = new Session(cli, connection, { tty, stdin, stdout: true, stderr: true, detachKeys });
  const streaming = session.run();
  if (tty && cli.stdin.isTerminal) followTerminalSize(cli, (wanted) => resizeExec(cli.engine, id, wanted));
  if ((await streaming) === "detached") throw new Error(DETACHED_MESSAGE);
  return (await inspectExec(cli.engine, id)).ExitCode;
}
