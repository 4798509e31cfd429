import { pruneVolumes } from "../../../client/volumes.ts";
import { withPruneFilters } from "../../actions/prune-filters.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { filterFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { confirm } from "../../terminal/confirm.ts";
import { humanSize } from "../../values/units.ts";

const ANONYMOUS = `WARNING! This will remove anonymous local volumes not used by at least one container.
Are you sure you want to continue?`;
const ALL = `WARNING! This will remove all local volumes not used by at least one container.
Are you sure you want to continue?`;

export const command = defineCommand({
  use: "prune [OPTIONS]",
  short: "Remove unused local volumes",
  args: noArgs,
  flags: {
    all: bool({ short: "a", usage: "Remove all unused volumes, not just anonymous ones" }),
    filter: filterFlag('Provide filter values (e.g. "label=<label>")'),
    force: bool({ short: "f", usage: "Do not prompt for confirmation" }),
  },
  async run({ flags, cli }) {
    const given = withPruneFilters(cli.config, flags.filter);
    if (flags.all && given.all) {
      throw new Error("conflicting options: cannot specify both --all and --filter all=1");
    }
    if (!flags.force && !confirm(cli, flags.all ? ALL : ANONYMOUS)) return 0;
    const filters = flags.all ? { ...given, all: ["true"] } : given;
    const { deleted, spaceReclaimed } = await pruneVolumes(cli.engine, filters);
    if (deleted.length > 0)
      cli.stdout.line(`Deleted Volumes:\n${deleted.map((name) => `${name}\n`).join("")}`);
    cli.stdout.line(`Total reclaimed space: ${humanSize(deleted.length > 0 ? spaceReclaimed : 0)}`);
    return 0;
  },
});
