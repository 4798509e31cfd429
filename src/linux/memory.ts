/** What this process holds in memory, and giving back what it does not need. */
import { readFileSync } from "node:fs";
import { check, libc } from "./libc.ts";

const MADV_DONTNEED = 4;

/**
 * Unmaps the pages of the executable's own code that were touched so far: boot runs through much code once. The pages
 * stay in the page cache, and those that are still in use come back at their next use for a minor fault each.
 * Only mappings that nobody can have written to (`r-x`, private, of a file): their content is the file's.
 * @returns bytes of the mappings that were let go
 */
export function releaseCodePages(): number {
  let released = 0;
  for (const { start, end } of codeMappings()) {
    check(libc.madvise(start, end - start, MADV_DONTNEED), "madvise");
    released += Number(end - start);
  }
  return released;
}

/** Proportional set size of this process, bytes. `process.memoryUsage().rss` counts too little under Bun. */
export function proportionalSetSize(): number {
  const kib = /^Pss:\s+(\d+) kB/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))?.[1] ?? "0";
  return Number(kib) * 1024;
}

function codeMappings(): { start: bigint; end: bigint }[] {
  const line = /^([0-9a-f]+)-([0-9a-f]+) r-xp [0-9a-f]+ \S+ \d+ +(\/.*)$/gm;
  return [...readFileSync("/proc/self/maps", "utf8").matchAll(line)].map(([, start, end]) => ({
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
  }));
}
