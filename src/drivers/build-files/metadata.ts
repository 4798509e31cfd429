/** Owners, modes, times and attributes of what the file worker makes. Locations are byte strings. */
import { type BigIntStats, closeSync, fstatSync, readFileSync } from "node:fs";
import type { FileOwner, RootPath } from "../../core/build-files.ts";
import { attributesOf } from "../../linux/attributes.ts";
import type { FileMaker } from "../../linux/files.ts";
import { ForeignRoot, O, WrongKindError } from "../../linux/foreign-root.ts";
import { LinuxError } from "../../linux/libc.ts";
import { MisfitError } from "./roots.ts";

/** Of the overlay that the trees lie on: copied, they would hide what they must not. */
const OVERLAY_ATTRIBUTES = /^(?:trusted|user)\.overlay\./;
const LARGEST_USER_FILE = 10 << 20;
const LARGEST_ID = 2 ** 31 - 1;

export interface Ids {
  readonly uid: number;
  readonly gid: number;
}

/** Undefined: as the source has it, or 0:0. A number alone means the group of that number, too. */
export function idsOf(owner: FileOwner | undefined): Ids | undefined {
  if (!owner) return undefined;
  const { user, group } = owner;
  const found =
    user && ("id" in user ? { uid: checkId(user.id), gid: undefined } : findUser(user.name, user.root));
  const uid = found?.uid ?? 0;
  const ownGroup = found?.gid ?? uid;
  if (!group) return { uid, gid: ownGroup };
  return { uid, gid: "id" in group ? checkId(group.id) : findGroup(group.name, group.root) };
}

function checkId(id: number): number {
  if (!Number.isInteger(id) || id < 0 || id > 0xfffffffe) throw new MisfitError(`invalid id ${id}`);
  return id;
}

function findUser(name: string, root: RootPath | undefined): { uid: number; gid: number | undefined } {
  if (/^\d+$/.test(name)) return { uid: checkId(Number(name)), gid: undefined };
  for (const fields of linesOf(root, "/etc/passwd")) {
    if (fields[0] !== name) continue;
    return { uid: toId(fields[2], name), gid: toId(fields[3], name) };
  }
  throw new MisfitError(
    `unable to convert uid/gid chown string to host mapping: can't find uid for user ${name}: no such user: ${name}`,
  );
}

function findGroup(name: string, root: RootPath | undefined): number {
  if (/^\d+$/.test(name)) return checkId(Number(name));
  for (const fields of linesOf(root, "/etc/group")) if (fields[0] === name) return toId(fields[2], name);
  throw new MisfitError(
    `unable to convert uid/gid chown string to host mapping: can't find gid for group ${name}: no such group: ${name}`,
  );
}

function toId(text: string | undefined, name: string): number {
  const id = Number(text);
  if (!/^\d+$/.test(text ?? "") || id > LARGEST_ID)
    throw new MisfitError(`invalid id of ${name} in the image`);
  return id;
}

/** Fields of the lines of a user database: a regular file of at most 10 MiB beneath the root. */
function linesOf(root: RootPath | undefined, path: string): string[][] {
  if (root === undefined) return [];
  using base = new ForeignRoot(root);
  let descriptor: number | undefined;
  try {
    descriptor = base.findRegularFile(path, O.RDONLY);
  } catch (error) {
    if (error instanceof WrongKindError) throw new MisfitError(error.message);
    throw error;
  }
  if (descriptor === undefined) return [];
  try {
    if (fstatSync(descriptor).size > LARGEST_USER_FILE)
      throw new MisfitError(`${path} is larger than 10 MiB`);
    const text = readFileSync(descriptor, "utf8");
    return text.split("\n").map((line) => line.split(":"));
  } finally {
    closeSync(descriptor);
  }
}

/** Attributes that the source has and the target's file system takes. */
export function copyAttributes(from: string, to: string, files: FileMaker): void {
  for (const [name, value] of attributesOf(from)) {
    if (OVERLAY_ATTRIBUTES.test(name)) continue;
    try {
      files.setAttributeAt(to, name, value);
    } catch (error) {
      const harmless = error instanceof LinuxError && ["EOPNOTSUPP", "EPERM", "EINVAL"].includes(error.code);
      if (!harmless) throw error;
    }
  }
}

export function permissionsOf(stats: BigIntStats): number {
  return Number(stats.mode & 0o7777n);
}

const WHO: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: 0o7777 };
const BITS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: 0o111, s: 0o6000, t: 0o1000 };

/** Applies a symbolic mode (`u+x,go-w`) as chmod(1) with an empty umask. @throws MisfitError */
export function applyMode(text: string, mode: number, isDirectory: boolean): number {
  let result = mode;
  for (const clause of text.split(",")) {
    const [, who = "", operations = ""] = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/.exec(clause) ?? [];
    if (operations === "") throw new MisfitError(`invalid mode: ${JSON.stringify(text)}`);
    const mask = [...(who || "a")].reduce((sum, one) => sum | (WHO[one] ?? 0), 0);
    for (const [, operator, letters = ""] of operations.matchAll(/([-+=])([rwxXstugo]*)/g)) {
      const bits = bitsOf(letters, { result, isDirectory }) & mask;
      if (operator === "+") result |= bits;
      else if (operator === "-") result &= ~bits;
      else result = (result & ~mask) | bits;
    }
  }
  return result;
}

function bitsOf(letters: string, { result, isDirectory }: { result: number; isDirectory: boolean }): number {
  let bits = 0;
  for (const letter of letters) {
    if (letter === "X") bits |= isDirectory || (result & 0o111) !== 0 ? 0o111 : 0;
    else if (letter === "u") bits |= ((result >> 6) & 7) * 0o111;
    else if (letter === "g") bits |= ((result >> 3) & 7) * 0o111;
    else if (letter === "o") bits |= (result & 7) * 0o111;
    else bits |= BITS[letter] ?? 0;
  }
  return bits;
}
