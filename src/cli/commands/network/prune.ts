import { pruneNetworks } from "../../../client/networks.ts";
import { withPruneFilters } from "../../actions/prune-filters.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { filterFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { confirm } from "../../terminal/confirm.ts";

const WARNING = `WARNING! This will remove all custom networks not used by at least one container.
Are you sure you want to continue?`;

export const command = defineCommand({
  use: "prune [OPTIONS]",
  short: "Remove all unused networks",
  args: noArgs,
  flags: {
    filter: filterFlag('Provide filter values (e.g. "until=<timestamp>")'),
    force: bool({ short: "f", usage: "Do not prompt for confirmation" }),
  },
  async run({ flags, cli }) {
    if (!flags.force && !confirm(cli, WARNING)) return 0;
    const deleted = await pruneNetworks(cli.engine, withPruneFilters(cli.config, flags.filter));
    if (deleted.length > 0) cli.stdout.line(`Deleted Networks:\n${deleted.map((id) => `${id}\n`).join("")}`);
    return 0;
  },
});
