import { readFileSync } from "node:fs";
import { administer, segment } from "../../../client/registry-admin.ts";
import { atLeast, defineCommand } from "../../command.ts";
import { bool } from "../../flags/flags.ts";
import { dataRootFlag, needed, socketOf, table, unknownVerb } from "./shared.ts";

interface Account {
  readonly name: string;
  readonly kind: string;
  readonly admin: boolean;
  readonly createdAt: string;
}

export const command = defineCommand({
  use: "user [OPTIONS] ls|set|rm [NAME]",
  short: "Manage accounts of a registry: people and robots",
  description:
    "Manage accounts of a registry: people and robots.\n" +
    "'set' makes an account or changes it; the password is read from standard input.",
  args: atLeast(1),
  flags: {
    admin: bool({ usage: "The account may do everything" }),
    "data-root": dataRootFlag,
    "password-stdin": bool({ usage: "Take the password from standard input" }),
    robot: bool({ usage: "The account is a program's: it has tokens and no password" }),
  },
  async run({ flags, changed, args: [verb, ...names], cli }) {
    const socket = socketOf(flags);
    switch (verb) {
      case "ls": {
        const accounts = await administer<Account[]>(socket, { method: "GET", path: "accounts" });
        const rows = accounts.map(({ name, kind, admin, createdAt }) => [
          name,
          kind,
          admin ? "yes" : "no",
          createdAt,
        ]);
        return cli.stdout.write(table(["NAME", "KIND", "ADMIN", "CREATED"], rows));
      }
      case "set": {
        const name = needed(names, 0, "the account's name");
        const password = flags["password-stdin"] ? readFileSync(0, "utf8").replace(/\r?\n$/, "") : undefined;
        await administer(socket, {
          method: "PUT",
          path: `accounts/${segment(name)}`,
          body: {
            ...(flags.robot ? { kind: "robot" } : {}),
            ...(changed("admin") ? { admin: flags.admin } : {}),
            ...(password === undefined ? {} : { password }),
          },
        });
        return cli.stdout.line(name);
      }
      case "rm":
        for (const name of names) {
          await administer(socket, { method: "DELETE", path: `accounts/${segment(name)}` });
          cli.stdout.line(name);
        }
        return;
      default:
        throw unknownVerb(verb, ["ls", "set", "rm"]);
    }
  },
});
