import { listImages } from "../../../client/images.ts";
import { atMost, defineCommand } from "../../command.ts";
import { filterFlag, listFormatFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { formatList } from "../../formats/formatter.ts";
import { imageHeaders, imageRows, rawImages } from "../../formats/image.ts";
import { goQuote } from "../../values/go-text.ts";

const CREATED = "{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}";
const TABLE = `table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t${CREATED}\\t{{.Size}}`;
const TABLE_WITH_DIGEST = `table {{.Repository}}\\t{{.Tag}}\\t{{.Digest}}\\t{{.ID}}\\t${CREATED}\\t{{.Size}}`;
/** Names that are more likely a subcommand of `image` than a repository. */
const subcommands = "build history import inspect list load ls prune pull push rm save tag".split(" ");

export const command = defineCommand({
  use: "images [OPTIONS] [REPOSITORY[:TAG]]",
  short: "List images",
  aliases: "image ls, image list, images",
  args: atMost(1),
  flags: {
    all: bool({ short: "a", usage: "Show all images (default hides intermediate images)" }),
    digests: bool({ usage: "Show digests" }),
    filter: filterFlag("Filter output based on conditions provided", "f"),
    format: listFormatFlag,
    "no-trunc": bool({ usage: "Don't truncate output" }),
    quiet: bool({ short: "q", usage: "Only show image IDs" }),
  },
  async run({ flags, args: [wanted = ""], path, cli }) {
    const { quiet, digests } = flags;
    const filters =
      wanted === ""
        ? flags.filter
        : { ...flags.filter, reference: [...(flags.filter.reference ?? []), wanted] };
    const images = await listImages(cli.engine, { all: flags.all, filters });
    const chosen = flags.format || (quiet ? "" : (cli.config.settings.imagesFormat ?? "")) || "table";
    const format = toFormat(chosen, quiet, digests);
    const options = { truncate: !flags["no-trunc"], digests, needsDigests: format.includes("{{.Digest}}") };
    const rows = images.flatMap((image) => imageRows(image, options));
    cli.stdout.write(formatList({ format, headers: imageHeaders }, rows));
    if (images.length === 0 && path === `${cli.program} images` && subcommands.includes(wanted)) {
      cli.stderr.line(
        `\nNo images found matching ${goQuote(wanted)}: did you mean "${cli.program} image ${wanted}"?`,
      );
    }
  },
});

function toFormat(format: string, quiet: boolean, digests: boolean): string {
  if (format === "table") return quiet ? "{{.ID}}" : digests ? TABLE_WITH_DIGEST : TABLE;
  if (format === "raw") return rawImages({ quiet, digests });
  return format.startsWith("table") && digests && !format.includes("{{.Digest}}")
    ? `${format}\\t{{.Digest}}`
    : format;
}
