/** What an ELF file says of how it is run. Pure reading. */
import { closeSync, openSync, readSync } from "node:fs";

const PT_INTERP = 3;

/**
 * The loader that a program asks for: `/lib64/ld-linux-x86-64.so.2`. Undefined for what needs none: static programs,
 * also position-independent ones, and scripts. @see elf(5)
 */
export function interpreterOf(path) {
  const file = openSync(path, "r");
  try {
    const header = read(file, 0, 64);
    if (header.length < 64 || header.toString("latin1", 0, 4) !== "\x7fELF") return undefined;
    const wide = header[4] === 2;
    if (header[5] !== 1) throw new Error(`${path} is a big-endian program`);
    const start = wide ? Number(header.readBigUInt64LE(32)) : header.readUInt32LE(28);
    const size = header.readUInt16LE(wide ? 54 : 42);
    const count = header.readUInt16LE(wide ? 56 : 44);
    for (let index = 0; index < count; index++) {
      const segment = read(file, start + index * size, size);
      if (segment.readUInt32LE(0) !== PT_INTERP) continue;
      const offset = wide ? Number(segment.readBigUInt64LE(8)) : segment.readUInt32LE(4);
      const length = wide ? Number(segment.readBigUInt64LE(32)) : segment.readUInt32LE(16);
      return read(file, offset, length).toString("latin1").replace(/\0.*$/s, "");
    }
    return undefined;
  } finally {
    closeSync(file);
  }
}

function read(file, position, length) {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, position));
}
