import { pruneImages } from "../../../client/images.ts";
import { withPruneFilters } from "../../actions/prune-filters.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { filterFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { confirm } from "../../terminal/confirm.ts";
import { humanSize } from "../../values/units.ts";

const DANGLING = "WARNING! This will remove all dangling images.\nAre you sure you want to continue?";
const ALL = `WARNING! This will remove all images without at least one container associated to them.
Are you sure you want to continue?`;

export const command = defineCommand({
  use: "prune [OPTIONS]",
  short: "Remove unused images",
  args: noArgs,
  flags: {
    all: bool({ short: "a", usage: "Remove all unused images, not just dangling ones" }),
    filter: filterFlag('Provide filter values (e.g. "until=<timestamp>")'),
    force: bool({ short: "f", usage: "Do not prompt for confirmation" }),
  },
  async run({ flags, cli }) {
    if (!flags.force && !confirm(cli, flags.all ? ALL : DANGLING)) return 0;
    const filters = { ...withPruneFilters(cli.config, flags.filter), dangling: [String(!flags.all)] };
    const { deleted, spaceReclaimed } = await pruneImages(cli.engine, filters);
    if (deleted.length > 0) {
      const lines = deleted.map(({ Untagged, Deleted }) =>
        Untagged ? `untagged: ${Untagged}\n` : `deleted: ${Deleted}\n`,
      );
      cli.stdout.line(`Deleted Images:\n${lines.join("")}`);
    }
    cli.stdout.line(`Total reclaimed space: ${humanSize(deleted.length > 0 ? spaceReclaimed : 0)}`);
    return 0;
  },
});
