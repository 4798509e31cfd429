/**
 * Accounts of an htpasswd file, as `registry:2` reads them: bcrypt alone. Who is in the file may do what a registry with
 * htpasswd lets everybody do: read and write everything.
 */
import { log } from "../../../base/log.ts";
import type { RegistryDeps } from "../deps.ts";
import { findAccount, putAccount, putGrant } from "../store/accounts.ts";

/** Accounts that are there already keep what they have. @returns how many were made */
export async function importHtpasswd(
  { database, clock }: Pick<RegistryDeps, "database" | "clock">,
  text: string,
): Promise<number> {
  let made = 0;
  for (const line of text.split("\n")) {
    const [, name = "", passwordHash = ""] = /^([^:#\s]+):(\S+)\s*$/.exec(line) ?? [];
    if (name === "") continue;
    if (!/^\$2[aby]\$/.test(passwordHash)) {
      log("warn", "registry: an account of the htpasswd file is left out: its password is not bcrypt's", {
        account: name,
      });
      continue;
    }
    await database.transaction(async (sql) => {
      if (await findAccount(sql, name)) return;
      await putAccount(sql, { name, kind: "user", passwordHash, admin: false, createdAt: clock() });
      await putGrant(sql, { subject: `user:${name}`, prefix: "", role: "maintainer" });
      made++;
    });
  }
  return made;
}
