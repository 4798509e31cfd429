import { listNetworks } from "../../../client/networks.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { filterFlag, listFormatFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { formatList } from "../../formats/formatter.ts";
import { networkHeaders, networkRow, rawNetworks } from "../../formats/network.ts";
import { compareNaturally } from "../../values/natural-order.ts";

const TABLE = "table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}";

export const command = defineCommand({
  use: "ls [OPTIONS]",
  short: "List networks",
  aliases: "network ls, network list",
  args: noArgs,
  flags: {
    filter: filterFlag('Provide filter values (e.g. "driver=bridge")', "f"),
    format: listFormatFlag,
    "no-trunc": bool({ usage: "Do not truncate the output" }),
    quiet: bool({ short: "q", usage: "Only display network IDs" }),
  },
  async run({ flags, cli }) {
    const networks = await listNetworks(cli.engine, flags.filter);
    const chosen = flags.format || (flags.quiet ? "" : (cli.config.settings.networksFormat ?? "")) || "table";
    const raw = chosen === "raw" ? rawNetworks(flags) : undefined;
    const format = raw ?? (chosen === "table" ? (flags.quiet ? "{{.ID}}" : TABLE) : chosen);
    networks.sort((a, b) => compareNaturally(a.Name ?? "", b.Name ?? ""));
    const rows = networks.map((network) => networkRow(network, { truncate: !flags["no-trunc"] }));
    cli.stdout.write(formatList({ format, headers: networkHeaders }, rows));
  },
});
