import { listContainers } from "../../../client/containers.ts";
import { defineCommand, messageOf, noArgs } from "../../command.ts";
import { filterFlag, listFormatFlag } from "../../flags/common-flags.ts";
import { bool, integer } from "../../flags/flags.ts";
import { containerHeaders, containerRow, rawContainers } from "../../formats/container.ts";
import { formatList } from "../../formats/formatter.ts";
import { TemplateObject } from "../../templates/object.ts";
import { Template } from "../../templates/template.ts";

const TABLE =
  "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Ports}}\\t{{.Names}}";

/** A template must fit containers even if there are none. @returns whether it shows sizes */
function showsSize(format: string): boolean {
  if (format === "") return false;
  let template: Template;
  try {
    template = new Template(format);
  } catch (cause) {
    throw new Error(`failed to parse template: ${messageOf(cause)}`, { cause });
  }
  let shown = false;
  const Size = (): string => {
    shown = true;
    return "";
  };
  const { typeName, methods } = containerRow({}, { truncate: true });
  try {
    template.execute(new TemplateObject(typeName, { ...methods, Size }));
  } catch (cause) {
    throw new Error(`failed to execute template: ${messageOf(cause)}`, { cause });
  }
  return shown;
}

export const command = defineCommand({
  use: "ps [OPTIONS]",
  short: "List containers",
  aliases: "container ls, container list, container ps, ps",
  args: noArgs,
  flags: {
    all: bool({ short: "a", usage: "Show all containers (default shows just running)" }),
    filter: filterFlag("Filter output based on conditions provided", "f"),
    format: listFormatFlag,
    last: integer({ short: "n", usage: "Show n last created containers (includes all states)", initial: -1 }),
    latest: bool({ short: "l", usage: "Show the latest created container (includes all states)" }),
    "no-trunc": bool({ usage: "Don't truncate output" }),
    quiet: bool({ short: "q", usage: "Only display container IDs" }),
    size: bool({ short: "s", usage: "Display total file sizes" }),
  },
  async run({ flags, changed, cli }) {
    const { quiet } = flags;
    if (flags.format !== "" && quiet) {
      cli.stderr.line("WARNING: Ignoring custom format, because both --format and --quiet are set.");
    }
    const custom = flags.format || (quiet ? "" : (cli.config.settings.psFormat ?? ""));
    const sizeShown = showsSize(custom);
    const size = flags.size || (!quiet && !changed("size") && sizeShown);
    const containers = await listContainers(cli.engine, {
      all: flags.all,
      limit: flags.latest && flags.last === -1 ? 1 : flags.last,
      size,
      filters: flags.filter,
    });
    const standard = custom === "" || custom === "table";
    const raw = custom === "raw" ? rawContainers({ quiet, size }) : undefined;
    const format = raw ?? (quiet ? "{{.ID}}" : standard ? `${TABLE}${size ? "\\t{{.Size}}" : ""}` : custom);
    const rows = containers.map((container) => containerRow(container, { truncate: !flags["no-trunc"] }));
    cli.stdout.write(formatList({ format, headers: containerHeaders }, rows));
  },
});
