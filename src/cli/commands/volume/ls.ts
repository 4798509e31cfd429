import { listVolumes } from "../../../client/volumes.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { filterFlag, listFormatFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { formatList } from "../../formats/formatter.ts";
import { rawVolumes, volumeHeaders, volumeRow } from "../../formats/volume.ts";
import { compareNaturally } from "../../values/natural-order.ts";

const TABLE = "table {{.Driver}}\\t{{.Name}}";

export const command = defineCommand({
  use: "ls [OPTIONS]",
  short: "List volumes",
  aliases: "volume ls, volume list",
  args: noArgs,
  flags: {
    filter: filterFlag('Provide filter values (e.g. "dangling=true")', "f"),
    format: listFormatFlag,
    quiet: bool({ short: "q", usage: "Only display volume names" }),
  },
  async run({ flags, cli }) {
    const volumes = [...((await listVolumes(cli.engine, flags.filter)).Volumes ?? [])];
    volumes.sort((a, b) => compareNaturally(a.Name, b.Name));
    const chosen = flags.format || (flags.quiet ? "" : (cli.config.settings.volumesFormat ?? "")) || "table";
    const raw = chosen === "raw" ? rawVolumes(flags) : undefined;
    const format = raw ?? (chosen === "table" ? (flags.quiet ? "{{.Name}}" : TABLE) : chosen);
    cli.stdout.write(formatList({ format, headers: volumeHeaders }, volumes.map(volumeRow)));
  },
});
