/**
 * Who runs in a container: `user[:group]` of the request or the image, looked up in the container's own /etc/passwd
 * and /etc/group. Docker's rules and words.
 * @see moby/sys user/user.go (GetExecUser, GetAdditionalGroups)
 *
 * Digits are only ever numbers (never a name to look up, however long they are), and both files are read beneath the
 * root, as regular files of at most 10 MiB.
 */
import { InvalidParameterError } from "../../../core/errors.ts";
import type { RootFiles } from "../../../core/rootfs.ts";

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, the effective one first. */
  readonly additionalGids: readonly number[];
  /** Home directory; `/` for a user without an entry. */
  readonly home: string;
}

const LIMIT = 10 * 1024 * 1024;
const MAX_ID = 2 ** 31 - 1;

/**
 * @param spec `config.User`: empty is uid 0
 * @param groupAdd `HostConfig.GroupAdd`: names and numbers
 * @throws InvalidParameterError "unable to find user X: no matching entries in passwd file"
 */
export async function resolveUser(
  files: RootFiles,
  root: string,
  spec: string,
  groupAdd: readonly string[] = [],
): Promise<ResolvedUser> {
  const [passwd, group] = await Promise.all([
    readText(files, root, "/etc/passwd"),
    readText(files, root, "/etc/group"),
  ]);
  return findUser(
    spec,
    groupAdd,
    passwd === undefined ? undefined : parsePasswd(passwd),
    parseGroup(group ?? ""),
  );
}

async function readText(files: RootFiles, root: string, path: string): Promise<string | undefined> {
  const bytes = await files.readFile(root, path, LIMIT);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** Pure. `users` is undefined where there is no passwd file. */
export function findUser(
  spec: string,
  groupAdd: readonly string[],
  users: readonly PasswdEntry[] | undefined,
  groups: readonly GroupEntry[],
): ResolvedUser {
  const [userPart = "", groupPart = ""] = spec.split(":");
  const wanted = userPart === "" ? 0 : parseId(userPart);
  const entry = users?.find(({ uid, name }) => (wanted === undefined ? name === userPart : uid === wanted));
  if (!entry && wanted === undefined) {
    throw new InvalidParameterError(`unable to find user ${userPart}: no matching entries in passwd file`, {
      subject: userPart,
    });
  }
  const gid = groupPart === "" ? (entry?.gid ?? 0) : findGroup(groupPart, groups);
  const ofUser =
    groupPart === "" && entry
      ? groups.filter(({ members }) => members.includes(entry.name)).map((g) => g.gid)
      : [];
  const added = groupAdd.map((name) => findAddedGroup(name, groups));
  return {
    uid: entry?.uid ?? wanted ?? 0,
    gid,
    additionalGids: [...new Set([gid, ...ofUser, ...added])],
    home: entry?.home || "/",
  };
}

function findGroup(name: string, groups: readonly GroupEntry[]): number {
  const wanted = parseId(name);
  if (wanted !== undefined) return wanted;
  const found = groups.find((group) => group.name === name);
  if (found) return found.gid;
  throw new InvalidParameterError(`unable to find group ${name}: no matching entries in group file`, {
    subject: name,
  });
}

function findAddedGroup(name: string, groups: readonly GroupEntry[]): number {
  const wanted = parseId(name);
  if (wanted !== undefined) return wanted;
  const found = groups.find((group) => group.name === name);
  if (found) return found.gid;
  throw new InvalidParameterError(`Unable to find group ${name}`, { subject: name });
}

/** A number if it looks like one, undefined for a name. @throws InvalidParameterError out of range */
function parseId(text: string): number | undefined {
  if (!/^[+-]?[0-9]+$/.test(text)) return undefined;
  const id = Number(text);
  if (id < 0 || id > MAX_ID) {
    throw new InvalidParameterError(`uids and gids must be in range 0-${MAX_ID}`, { subject: text });
  }
  return id;
}

/** Lines that are no entries, or whose ids are none, are skipped. @see passwd(5) */
export function parsePasswd(text: string): PasswdEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , uid = "", gid = "", , home = ""] = line.trim().split(":");
    return isEntry(name, uid, gid) ? [{ name, uid: Number(uid), gid: Number(gid), home }] : [];
  });
}

/** @see group(5) */
export function parseGroup(text: string): GroupEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , gid = "", members = ""] = line.trim().split(":");
    return isEntry(name, gid)
      ? [{ name, gid: Number(gid), members: members.split(",").filter(Boolean) }]
      : [];
  });
}

function isEntry(name: string, ...ids: readonly string[]): boolean {
  return (
    name !== "" && !name.startsWith("#") && ids.every((id) => /^[0-9]+$/.test(id) && Number(id) <= MAX_ID)
  );
}
