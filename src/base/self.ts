/** How to run this program again: helper processes are the same executable in another role. */
import { join } from "node:path";

/** argv of `gantry <args>`, compiled or from source (there also within tests, whose main module is another). */
export function selfCommand(...args: string[]): string[] {
  const compiled = Bun.main.startsWith("/$bunfs/");
  return compiled
    ? [process.execPath, ...args]
    : [process.execPath, join(import.meta.dir, "../main.ts"), ...args];
}
