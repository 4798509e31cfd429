import { containerLogs, inspectContainer } from "../../../client/containers.ts";
import { readFrames } from "../../../client/frames.ts";
import { defineCommand, exactly } from "../../command.ts";
import { bool, string } from "../../flags/flags.ts";
import { toEngineTime } from "../../values/times.ts";

export const command = defineCommand({
  use: "logs [OPTIONS] CONTAINER",
  short: "Fetch the logs of a container",
  aliases: "container logs, logs",
  args: exactly(1),
  flags: {
    details: bool({ usage: "Show extra details provided to logs" }),
    follow: bool({ short: "f", usage: "Follow log output" }),
    grep: string({ usage: "Show only lines that match a regular expression (Gantry engines only)" }),
    since: string({
      usage:
        'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    }),
    tail: string({ short: "n", usage: "Number of lines to show from the end of the logs", initial: "all" }),
    timestamps: bool({ short: "t", usage: "Show timestamps" }),
    until: string({
      usage:
        'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    }),
  },
  async run({ flags, args: [name = ""], cli }) {
    const { Id, Config } = await inspectContainer(cli.engine, name);
    const now = Date.now();
    const { body } = await containerLogs(cli.engine, Id ?? name, {
      ...flags,
      since: boundary("since", flags.since, now),
      until: boundary("until", flags.until, now),
    });
    if (Config?.Tty) {
      for await (const bytes of body) await cli.stdout.stream(bytes);
      return;
    }
    for await (const { stream, bytes } of readFrames(body)) {
      await (stream === "stderr" ? cli.stderr : cli.stdout).stream(bytes);
    }
  },
});

function boundary(name: "since" | "until", text: string, now: number): string {
  try {
    return toEngineTime(text, now);
  } catch (cause) {
    throw new Error(`invalid value for "${name}": ${(cause as Error).message}`, { cause });
  }
}
