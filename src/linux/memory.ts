/** What this process holds in memory, and giving back what it does not need. */
import { readFileSync } from "node:fs";
import { check, libc } from "./libc.ts";

const MADV_DONTNEED = 4;

/**
 * Unmaps the pages of the executable's own code that were touched so far: boot runs through much code once. The pages
 * stay in the page cache, and those that are still in use come back at their next use for a minor fault each.
 * Only read-only private mappings of a file that hold no page of their own (relocated data does): their content is
 * the file's.
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
  const header = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ \d+ +\//;
  return readFileSync("/proc/self/smaps", "utf8")
    .split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)
    .flatMap((mapping) => {
      const [, start, end] = header.exec(mapping) ?? [];
      if (start === undefined || !/^Anonymous: +0 kB$/m.test(mapping)) return [];
      return [{ start: BigInt(`0x${start}`), end: BigInt(`0x${end}`) }];
    });
}
