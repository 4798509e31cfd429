import { createVolume } from "../../../client/volumes.ts";
import { atMost, defineCommand } from "../../command.ts";
import { list, map, string } from "../../flags/flags.ts";
import { checkLabel, toMap } from "../../options/key-values.ts";

export const command = defineCommand({
  use: "create [OPTIONS] [VOLUME]",
  short: "Create a volume",
  args: atMost(1),
  flags: {
    driver: string({ short: "d", usage: "Specify volume driver name", initial: "local" }),
    label: list({ usage: "Set metadata for a volume", check: checkLabel }),
    name: string({ usage: "Specify volume name", hidden: true }),
    opt: map({ short: "o", usage: "Set driver specific options" }),
  },
  async run({ flags, args: [given], cli }) {
    if (given !== undefined && flags.name !== "") {
      throw new Error(
        "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
      );
    }
    const name = given ?? flags.name;
    const { Name } = await createVolume(cli.engine, {
      ...(name !== "" && { Name: name }),
      Driver: flags.driver,
      DriverOpts: flags.opt,
      Labels: toMap(flags.label),
    });
    cli.stdout.line(Name);
  },
});
