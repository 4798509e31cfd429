import { actOnContainer } from "../../../client/containers.ts";
import { defineCommand, exactly, messageOf } from "../../command.ts";

export const command = defineCommand({
  use: "rename CONTAINER NEW_NAME",
  short: "Rename a container",
  aliases: "container rename, rename",
  args: exactly(2),
  flags: {},
  async run({ args: [given = "", wanted = ""], cli }) {
    const [from, to] = [given.trim(), wanted.trim()];
    if (from === "" || to === "") throw new Error("Error: Neither old nor new names may be empty");
    try {
      await actOnContainer(cli.engine, from, "rename", { name: to });
    } catch (error) {
      cli.stderr.line(messageOf(error));
      throw new Error(`Error: failed to rename container named ${from}`, { cause: error });
    }
  },
});
