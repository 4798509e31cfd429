import { type SearchResult, searchImages } from "../../../client/image-transfer.ts";
import { defineCommand, exactly } from "../../command.ts";
import { credentialsFor } from "../../config/credentials.ts";
import { filterFlag } from "../../flags/common-flags.ts";
import { bool, integer, string } from "../../flags/flags.ts";
import { formatList } from "../../formats/formatter.ts";
import { TemplateObject } from "../../templates/object.ts";
import { parseReference } from "../../values/reference.ts";

const TABLE = "table {{.Name}}\\t{{.Description}}\\t{{.StarCount}}\\t{{.IsOfficial}}";
const LONGEST_DESCRIPTION = 45;

const headers = {
  Name: "NAME",
  Description: "DESCRIPTION",
  StarCount: "STARS",
  IsOfficial: "OFFICIAL",
  IsAutomated: "AUTOMATED",
};

export const command = defineCommand({
  use: "search [OPTIONS] TERM",
  short: "Search Docker Hub for images",
  args: exactly(1),
  flags: {
    filter: filterFlag("Filter output based on conditions provided", "f"),
    format: string({ usage: "Pretty-print search using a Go template" }),
    limit: integer({ usage: "Max number of search results" }),
    "no-trunc": bool({ usage: "Don't truncate output" }),
  },
  async run({ flags, args: [term = ""], cli }) {
    const results = await searchImages(cli.engine, term, {
      limit: Number(flags.limit),
      filters: flags.filter,
      auth: await accountFor(cli, term),
    });
    const format = flags.format === "" ? TABLE : flags.format;
    const rows = results.map((result) => row(result, !flags["no-trunc"]));
    cli.stdout.write(formatList({ format, headers }, rows));
  },
});

/** `localhost:5000/term` searches that registry. */
async function accountFor(cli: Parameters<typeof credentialsFor>[0], term: string) {
  try {
    return await credentialsFor(cli, parseReference(term).domain);
  } catch {
    return undefined;
  }
}

function row(result: SearchResult, truncate: boolean): TemplateObject {
  return new TemplateObject("*formatter.searchContext", {
    Name: () => result.name,
    Description: () => {
      const text = result.description.replaceAll(/[\r\n]/g, " ");
      return truncate && text.length > LONGEST_DESCRIPTION
        ? `${text.slice(0, LONGEST_DESCRIPTION - 1)}…`
        : text;
    },
    StarCount: () => String(result.star_count),
    IsOfficial: () => (result.is_official ? "[OK]" : ""),
    IsAutomated: () => (result.is_automated ? "[OK]" : ""),
  });
}
