import { administer } from "../../../client/registry-admin.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { string } from "../../flags/flags.ts";
import { dataRootFlag, needed, socketOf, table, unknownVerb } from "./shared.ts";

interface Repository {
  readonly name: string;
  readonly visibility: string;
  readonly description: string;
}

export const command = defineCommand({
  use: "repo [OPTIONS] ls|set|rm [NAME]",
  short: "Manage repositories of a registry",
  description:
    "Manage repositories of a registry. 'rm' removes all images of a repository; their space comes back later.",
  args: atLeast(1),
  flags: {
    "data-root": dataRootFlag,
    description: string({ usage: "What is in it" }),
    visibility: string({ usage: "Who may read it: public or private" }),
  },
  async run({ flags, changed, args: [verb, ...names], cli }) {
    const socket = socketOf(flags);
    switch (verb) {
      case "ls": {
        const rows: string[][] = [];
        for (let last = ""; ; ) {
          const path = `repositories?${new URLSearchParams({ last })}`;
          const page = await administer<Repository[]>(socket, { method: "GET", path });
          rows.push(...page.map(({ name, visibility, description }) => [name, visibility, description]));
          const final = page.at(-1);
          if (!final) break;
          last = final.name;
        }
        return cli.stdout.write(table(["NAME", "VISIBILITY", "DESCRIPTION"], rows));
      }
      case "set": {
        const name = needed(names, 0, "the repository's name");
        await administer(socket, {
          method: "PATCH",
          path: `repositories/${name}`,
          body: {
            ...(changed("visibility") ? { visibility: flags.visibility } : {}),
            ...(changed("description") ? { description: flags.description } : {}),
          },
        });
        return cli.stdout.line(name);
      }
      case "rm":
        for (const name of names) {
          await administer(socket, { method: "DELETE", path: `repositories/${name}` });
          cli.stdout.line(name);
        }
        return;
      default:
        throw unknownVerb(verb, ["ls", "set", "rm"]);
    }
  },
});
