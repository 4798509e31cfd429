/** Extended attributes of files whose names are byte strings (one character for each byte). Never follows a final link. */
import { constants } from "node:os";
import { LinuxError, lastErrno, libc } from "./libc.ts";

/** The kernel's own limits: XATTR_LIST_MAX and XATTR_SIZE_MAX. */
const LIST_LIMIT = 64 << 10;
const VALUE_LIMIT = 64 << 10;
const list = Buffer.alloc(LIST_LIMIT);
const value = Buffer.alloc(VALUE_LIMIT);

/**
 * All attributes of a file, byte strings by name, sorted by name. Empty where the file system has none. Synchronous, for helper
 * processes; what vanishes between listing and reading is left out.
 * @throws LinuxError
 */
export function attributesOf(path: string): Map<string, string> {
  const name = pathBytes(path);
  const length = Number(libc.llistxattr(name, list, list.length));
  if (length < 0) {
    const error = new LinuxError("listxattr", lastErrno(), path);
    if (error.code === "EOPNOTSUPP") return new Map();
    throw error;
  }
  const attributes = new Map<string, string>();
  const names = list.toString("latin1", 0, length).split("\0");
  for (const attribute of names.filter((each) => each !== "").sort()) {
    const found = readValue(name, attribute, path);
    if (found !== undefined) attributes.set(attribute, found);
  }
  return attributes;
}

function readValue(name: Buffer, attribute: string, path: string): string | undefined {
  const length = Number(libc.lgetxattr(name, Buffer.from(`${attribute}\0`, "latin1"), value, value.length));
  if (length >= 0) return value.toString("latin1", 0, length);
  const error = new LinuxError("getxattr", lastErrno(), `${attribute} of ${path}`);
  if (error.code === "ENODATA" || error.code === "EOPNOTSUPP") return undefined;
  throw error;
}

function pathBytes(path: string): Buffer {
  if (path.includes("\0")) throw new LinuxError("path", constants.errno.EINVAL);
  return Buffer.from(`${path}\0`, "latin1");
}
