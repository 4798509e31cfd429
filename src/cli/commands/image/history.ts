import { type HistoryStep, imageHistory } from "../../../client/image-transfer.ts";
import { defineCommand, exactly } from "../../command.ts";
import { listFormatFlag } from "../../flags/common-flags.ts";
import { bool, string } from "../../flags/flags.ts";
import { shortId } from "../../formats/container.ts";
import { formatList } from "../../formats/formatter.ts";
import { TemplateObject } from "../../templates/object.ts";
import { parsePlatform } from "../../values/platform.ts";
import { rfc3339Nano } from "../../values/times.ts";
import { humanDuration, humanSize } from "../../values/units.ts";

const HUMAN = "table {{.ID}}\\t{{.CreatedSince}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}";
const EXACT = "table {{.ID}}\\t{{.CreatedAt}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}";
const SHORTEST_COMMAND = 45;

const headers = {
  ID: "IMAGE",
  CreatedSince: "CREATED",
  CreatedAt: "CREATED AT",
  CreatedBy: "CREATED BY",
  Size: "SIZE",
  Comment: "COMMENT",
};

export const command = defineCommand({
  use: "history [OPTIONS] IMAGE",
  short: "Show the history of an image",
  aliases: "image history, history",
  args: exactly(1),
  flags: {
    format: listFormatFlag,
    human: bool({ short: "H", usage: "Print sizes and dates in human readable format", initial: true }),
    "no-trunc": bool({ usage: "Don't truncate output" }),
    platform: string({
      usage: `Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")`,
    }),
    quiet: bool({ short: "q", usage: "Only show image IDs" }),
  },
  async run({ flags, args: [name = ""], cli }) {
    const steps = await imageHistory(cli.engine, name, parsePlatform(flags.platform));
    const table = flags.quiet ? "{{.ID}}" : flags.human ? HUMAN : EXACT;
    const format = flags.format === "" || flags.format === "table" ? table : flags.format;
    const options = { truncate: !flags["no-trunc"], human: flags.human };
    cli.stdout.write(
      formatList(
        { format, headers },
        steps.map((step) => row(step, options)),
      ),
    );
  },
});

function row(
  step: HistoryStep,
  { truncate, human }: { readonly truncate: boolean; readonly human: boolean },
): TemplateObject {
  const created = step.Created <= 0 ? "N/A" : rfc3339Nano(BigInt(step.Created) * 1_000_000_000n);
  const ago = step.Created <= 0 ? "N/A" : `${humanDuration(Date.now() / 1000 - step.Created)} ago`;
  return new TemplateObject("*formatter.historyContext", {
    ID: () => (truncate && step.Id !== "<missing>" ? shortId(step.Id) : step.Id),
    CreatedAt: () => created,
    CreatedSince: () => (human ? ago : created),
    CreatedBy: () => {
      const text = step.CreatedBy.replaceAll("\t", " ");
      return truncate && text.length > SHORTEST_COMMAND ? `${text.slice(0, SHORTEST_COMMAND - 1)}…` : text;
    },
    Size: () => (human ? humanSize(step.Size, 3) : String(step.Size)),
    Comment: () => step.Comment,
  });
}
