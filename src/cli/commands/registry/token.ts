import { administer, segment } from "../../../client/registry-admin.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { integer, list, string } from "../../flags/flags.ts";
import { dataRootFlag, needed, socketOf, table, unknownVerb } from "./shared.ts";

interface Token {
  readonly id: string;
  readonly label: string;
  readonly scopes?: readonly { prefix: string; verbs: readonly string[] }[];
  readonly expiresAt: number | null;
}

export const command = defineCommand({
  use: "token [OPTIONS] ls|new|rm ACCOUNT [ID]",
  short: "Manage personal tokens of a registry's accounts",
  description:
    "Manage personal tokens of a registry's accounts. A token stands where a password would, and is shown once.\n" +
    "A scope narrows it: --scope team/app:pull,push",
  args: atLeast(2),
  flags: {
    "data-root": dataRootFlag,
    days: integer({ usage: "Days until it expires (default never)" }),
    label: string({ usage: "What it is for" }),
    scope: list({ usage: "Repositories and what may be done with them: PREFIX:VERB[,VERB]" }),
  },
  async run({ flags, args: [verb, account = "", id], cli }) {
    const socket = socketOf(flags);
    const path = `accounts/${segment(account)}/tokens`;
    switch (verb) {
      case "ls": {
        const tokens = await administer<Token[]>(socket, { method: "GET", path });
        const rows = tokens.map(({ id: name, label, scopes, expiresAt }) => [
          name,
          label,
          scopes?.map(({ prefix, verbs }) => `${prefix || "/"}:${verbs.join(",")}`).join(" ") ?? "all",
          expiresAt === null ? "never" : new Date(expiresAt).toISOString(),
        ]);
        return cli.stdout.write(table(["ID", "LABEL", "SCOPES", "EXPIRES"], rows));
      }
      case "new": {
        const scopes = flags.scope.map((text) => {
          const colon = text.lastIndexOf(":");
          return {
            prefix: text.slice(0, colon).replace(/^\/+|\/+$/g, ""),
            verbs: text.slice(colon + 1).split(","),
          };
        });
        const made = await administer<{ token: string }>(socket, {
          method: "POST",
          path,
          body: {
            label: flags.label,
            ...(scopes.length > 0 ? { scopes } : {}),
            ...(flags.days > 0 ? { expiresInDays: flags.days } : {}),
          },
        });
        return cli.stdout.line(made.token);
      }
      case "rm": {
        const name = needed([id ?? ""], 0, "the token's id");
        await administer(socket, { method: "DELETE", path: `${path}/${segment(name)}` });
        return cli.stdout.line(name);
      }
      default:
        throw unknownVerb(verb, ["ls", "new", "rm"]);
    }
  },
});
