import { administer, segment } from "../../../client/registry-admin.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { dataRootFlag, needed, socketOf, table, unknownVerb } from "./shared.ts";

export const command = defineCommand({
  use: "group [OPTIONS] ls|add|rm [GROUP ACCOUNT]",
  short: "Manage groups of accounts of a registry",
  args: atLeast(1),
  flags: { "data-root": dataRootFlag },
  async run({ flags, args: [verb, ...names], cli }) {
    const socket = socketOf(flags);
    if (verb === "ls") {
      const groups = await administer<Record<string, string[]>>(socket, { method: "GET", path: "groups" });
      const rows = Object.entries(groups).map(([group, members]) => [group, members.join(", ")]);
      return cli.stdout.write(table(["GROUP", "MEMBERS"], rows));
    }
    if (verb !== "add" && verb !== "rm") throw unknownVerb(verb, ["ls", "add", "rm"]);
    const group = needed(names, 0, "the group's name");
    const account = needed(names, 1, "the account's name");
    await administer(socket, {
      method: verb === "add" ? "PUT" : "DELETE",
      path: `groups/${segment(group)}/members/${segment(account)}`,
    });
    cli.stdout.line(group);
  },
});
