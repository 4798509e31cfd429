/** How to run this program again: helper processes are the same executable in another role. */

/** argv of `gantry <args>`, compiled or from source. */
export function selfCommand(...args: string[]): string[] {
  const compiled = Bun.main.startsWith("/$bunfs/");
  return compiled ? [process.execPath, ...args] : [process.execPath, Bun.main, ...args];
}
