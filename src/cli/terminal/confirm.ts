/** A question before something is deleted. */
import { readSync } from "node:fs";
import type { Cli } from "../command.ts";

/** True for an answer of `y`. */
export function confirm(cli: Cli, warning: string): boolean {
  cli.stdout.write(`${warning} [y/N] `);
  return readLine().trim().toLowerCase() === "y";
}

/** One line of standard input, byte by byte so that nothing behind it is taken. */
export function readLine(): string {
  const byte = Buffer.alloc(1);
  const bytes: number[] = [];
  while (readSync(0, byte, 0, 1, null) === 1 && byte[0] !== 10) bytes.push(byte[0] as number);
  return Buffer.from(bytes).toString();
}
