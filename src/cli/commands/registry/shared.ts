/** What the commands of `registry` share: which registry, verbs within a noun, plain tables. */
import { join } from "node:path";
import { StatusError } from "../../command.ts";
import { string } from "../../flags/flags.ts";
import { alignColumns, listLayout } from "../../terminal/table.ts";

const DEFAULT_DATA_ROOT = "/var/lib/gantry-registry";

export const dataRootFlag = string({
  usage: "Data root of the registry to administer, on this machine",
  initial: DEFAULT_DATA_ROOT,
});

export function socketOf({ "data-root": dataRoot }: { readonly "data-root": string }): string {
  return join(dataRoot, "admin.sock");
}

/** The argument at that place. @throws StatusError that says what is missing */
export function needed(args: readonly string[], index: number, what: string): string {
  const found = args[index];
  if (found === undefined || found === "") throw new StatusError(`${what} is missing`, 1);
  return found;
}

/** @throws StatusError */
export function unknownVerb(verb: string | undefined, known: readonly string[]): StatusError {
  return new StatusError(
    `${verb === undefined ? "what to do is missing" : `unknown: ${verb}`}; one of ${known.join(", ")}`,
    1,
  );
}

export function table(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headers, ...rows].map((cells) => `${cells.join("\t")}\n`).join("");
  return alignColumns(lines, listLayout);
}
