import { pruneContainers } from "../../../client/containers.ts";
import { withPruneFilters } from "../../actions/prune-filters.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { filterFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { confirm } from "../../terminal/confirm.ts";
import { humanSize } from "../../values/units.ts";

const WARNING = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?";

export const command = defineCommand({
  use: "prune [OPTIONS]",
  short: "Remove all stopped containers",
  args: noArgs,
  flags: {
    filter: filterFlag('Provide filter values (e.g. "until=<timestamp>")'),
    force: bool({ short: "f", usage: "Do not prompt for confirmation" }),
  },
  async run({ flags, cli }) {
    if (!flags.force && !confirm(cli, WARNING)) return 0;
    const { deleted, spaceReclaimed } = await pruneContainers(
      cli.engine,
      withPruneFilters(cli.config, flags.filter),
    );
    if (deleted.length > 0)
      cli.stdout.line(`Deleted Containers:\n${deleted.map((id) => `${id}\n`).join("")}`);
    cli.stdout.line(`Total reclaimed space: ${humanSize(deleted.length > 0 ? spaceReclaimed : 0)}`);
    return 0;
  },
});
