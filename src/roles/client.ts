/** The client's composition root: environment and terminal are read here, the rest is in `cli/`. */
import { basename } from "node:path";
import { runCli } from "../cli/cli.ts";

export async function main(args: readonly string[]): Promise<void> {
  const program = basename(process.argv0) === "docker" ? "docker" : "gantry";
  const status = await runCli({ args, program, environment: process.env });
  // Open connections and pending reads of standard input must not keep the process.
  process.exit(status);
}
