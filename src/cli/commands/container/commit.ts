import { commitContainer } from "../../../client/image-transfer.ts";
import { between, defineCommand } from "../../command.ts";
import { bool, list, string } from "../../flags/flags.ts";
import { familiarName, parseReference } from "../../values/reference.ts";

export const command = defineCommand({
  use: "commit [OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
  short: "Create a new image from a container's changes",
  aliases: "container commit, commit",
  args: between(1, 2),
  flags: {
    author: string({ short: "a", usage: 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")' }),
    change: list({ short: "c", usage: "Apply Dockerfile instruction to the created image" }),
    message: string({ short: "m", usage: "Commit message" }),
    pause: bool({ short: "p", usage: "Pause container during commit", initial: true }),
  },
  async run({ flags: { author, change, message, pause }, args: [container = "", name = ""], cli }) {
    const reference = name === "" ? undefined : parseReference(name);
    const id = await commitContainer(cli.engine, container, {
      repository: reference ? familiarName(reference) : "",
      tag: reference ? (reference.tag ?? "latest") : "",
      author,
      comment: message,
      changes: change,
      pause,
    });
    cli.stdout.line(id);
  },
});
