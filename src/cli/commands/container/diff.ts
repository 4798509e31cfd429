import { containerChanges } from "../../../client/container-files.ts";
import { defineCommand, exactly } from "../../command.ts";

const LETTERS = ["C", "A", "D"] as const;

export const command = defineCommand({
  use: "diff CONTAINER",
  short: "Inspect changes to files or directories on a container's filesystem",
  aliases: "container diff, diff",
  args: exactly(1),
  flags: {},
  async run({ args: [name = ""], cli }) {
    if (name === "") throw new Error("container name cannot be empty");
    const changes = await containerChanges(cli.engine, name);
    cli.stdout.write(changes.map(({ Kind, Path }) => `${LETTERS[Kind]} ${Path}\n`).join(""));
  },
});
