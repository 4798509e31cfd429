import { administer } from "../../../client/registry-admin.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { dataRootFlag, needed, socketOf, table, unknownVerb } from "./shared.ts";

interface Grant {
  readonly subject: string;
  readonly prefix: string;
  readonly role: string;
}

export const command = defineCommand({
  use: "grant [OPTIONS] ls|set|rm [SUBJECT PREFIX [ROLE]]",
  short: "Manage who may do what with which repositories of a registry",
  description:
    "Manage who may do what with which repositories of a registry.\n" +
    "SUBJECT is user:NAME, group:NAME, authenticated or anonymous; PREFIX the first parts of repositories' names, or / for\n" +
    "all; ROLE one of reader, writer, maintainer (deletes too) and owner.",
  args: atLeast(1),
  flags: { "data-root": dataRootFlag },
  async run({ flags, args: [verb, ...names], cli }) {
    const socket = socketOf(flags);
    if (verb === "ls") {
      const grants = await administer<Grant[]>(socket, { method: "GET", path: "grants" });
      const rows = grants.map(({ subject, prefix, role }) => [subject, prefix === "" ? "/" : prefix, role]);
      return cli.stdout.write(table(["SUBJECT", "PREFIX", "ROLE"], rows));
    }
    if (verb !== "set" && verb !== "rm") throw unknownVerb(verb, ["ls", "set", "rm"]);
    const subject = needed(names, 0, "the subject");
    const prefix = needed(names, 1, "the prefix").replace(/^\/+|\/+$/g, "");
    if (verb === "set") {
      const role = needed(names, 2, "the role");
      await administer(socket, { method: "PUT", path: "grants", body: { subject, prefix, role } });
    } else {
      await administer(socket, {
        method: "DELETE",
        path: `grants?${new URLSearchParams({ subject, prefix })}`,
      });
    }
    cli.stdout.line(subject);
  },
});
