import {
  actOnContainer,
  attachContainer,
  inspectContainer,
  waitForContainer,
} from "../../../client/containers.ts";
import { type Cli, defineCommand, exactly } from "../../command.ts";
import { detachKeysFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import {
  checkTerminal,
  DETACHED_MESSAGE,
  endAfterThreeSignals,
  followTerminalSize,
  forwardSignals,
  Session,
} from "../../terminal/session.ts";

export const command = defineCommand({
  use: "attach [OPTIONS] CONTAINER",
  short: "Attach local standard input, output, and error streams to a running container",
  aliases: "container attach, attach",
  args: exactly(1),
  flags: {
    "detach-keys": detachKeysFlag,
    "no-stdin": bool({ usage: "Do not attach STDIN" }),
    "sig-proxy": bool({ usage: "Proxy all received signals to the process", initial: true }),
  },
  async run({ flags, args: [name = ""], cli }) {
    const { Config, Id: id = name } = await inspectRunning(cli, name);
    const tty = Config?.Tty ?? false;
    checkTerminal(cli, { stdin: !flags["no-stdin"], tty });
    const detachKeys = flags["detach-keys"] || (cli.config.settings.detachKeys ?? "");
    const streams = {
      stdin: !flags["no-stdin"] && (Config?.OpenStdin ?? false),
      stdout: true,
      stderr: true,
      detachKeys,
    };
    if (flags["sig-proxy"] && !tty) forwardSignals(cli, id);
    const [waiting, connection] = await Promise.all([
      waitForContainer(cli.engine, id),
      attachContainer(cli.engine, id, streams),
    ]);
    // It may have stopped in between, and then nothing would ever come.
    await inspectRunning(cli, name);
    if (tty && cli.stdout.isTerminal) {
      await nudgeTerminal(cli, id);
      followTerminalSize(cli, (size) => actOnContainer(cli.engine, id, "resize", size));
    }
    const session = new Session(cli, connection, { ...streams, tty });
    endAfterThreeSignals(cli, () => session.close());
    if ((await session.run()) === "detached") throw new Error(DETACHED_MESSAGE);
    const { StatusCode, Error: failure } = await waiting.result;
    if (failure?.Message) throw new Error(failure.Message);
    return StatusCode;
  },
});

async function inspectRunning(cli: Cli, name: string): ReturnType<typeof inspectContainer> {
  const container = await inspectContainer(cli.engine, name);
  const { Running, Paused, Restarting } = container.State ?? {};
  if (!Running) throw new Error("You cannot attach to a stopped container, start it first");
  if (Paused) throw new Error("You cannot attach to a paused container, unpause it first");
  if (Restarting) throw new Error("You cannot attach to a restarting container, wait until it is running");
  return container;
}

/** A change of size makes a shell draw its prompt again. */
async function nudgeTerminal(cli: Cli, id: string): Promise<void> {
  const { rows, columns } = cli.stdout.size;
  await actOnContainer(cli.engine, id, "resize", { h: rows + 1, w: columns + 1 }).catch(() => {});
}
