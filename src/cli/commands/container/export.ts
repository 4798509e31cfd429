import { open, rename, rm } from "node:fs/promises";
import { exportContainer } from "../../../client/container-files.ts";
import { defineCommand, exactly } from "../../command.ts";
import { checkOutputPath } from "../../copy/local-files.ts";
import { string } from "../../flags/flags.ts";

export const command = defineCommand({
  use: "export [OPTIONS] CONTAINER",
  short: "Export a container's filesystem as a tar archive",
  aliases: "container export, export",
  args: exactly(1),
  flags: { output: string({ short: "o", usage: "Write to a file, instead of STDOUT" }) },
  async run({ flags: { output }, args: [name = ""], cli }) {
    if (output === "" && cli.stdout.isTerminal) {
      throw new Error("cowardly refusing to save to a terminal. Use the -o flag or redirect");
    }
    if (output !== "") checkExportPath(output);
    const body = await exportContainer(cli.engine, name);
    if (output === "") for await (const bytes of body) await cli.stdout.stream(bytes);
    else await writeWhole(output, body);
  },
});

function checkExportPath(path: string): void {
  try {
    checkOutputPath(path);
  } catch (cause) {
    throw new Error(`failed to export container: ${(cause as Error).message}`, { cause });
  }
}

/** Nothing of that name is touched before everything is there. */
async function writeWhole(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  const file = await open(temporary, "wx", 0o600);
  try {
    for await (const bytes of content) await file.write(bytes);
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
