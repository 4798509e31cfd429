import { removeContainer } from "../../../client/containers.ts";
import { isNotFound } from "../../../client/errors.ts";
import { inBatches } from "../../actions/each.ts";
import { atLeast, defineCommand, joinErrors, messageOf } from "../../command.ts";
import { bool } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "rm [OPTIONS] CONTAINER [CONTAINER...]",
  short: "Remove one or more containers",
  aliases: "container rm, container remove, rm",
  args: atLeast(1),
  flags: {
    force: bool({ short: "f", usage: "Force the removal of a running container (uses SIGKILL)" }),
    link: bool({ short: "l", usage: "Remove the specified link" }),
    volumes: bool({ short: "v", usage: "Remove anonymous volumes associated with the container" }),
  },
  async run({ flags, args, cli }) {
    const outcomes = inBatches(args, async (given) => {
      const name = given.replace(/^\/+|\/+$/g, "");
      if (name === "") throw new Error("container name cannot be empty");
      await removeContainer(cli.engine, name, flags);
    });
    const errors: unknown[] = [];
    for (const [at, name] of args.entries()) {
      const failure = await outcomes[at];
      if (!failure) cli.stdout.line(name);
      else if (flags.force && isNotFound(failure.error)) cli.stderr.line(messageOf(failure.error));
      else errors.push(failure.error);
    }
    const joined = joinErrors(errors);
    if (joined) throw joined;
  },
});
