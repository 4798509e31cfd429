import { getContext, storeOf } from "../../actions/contexts.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { DEFAULT_CONTEXT } from "../../config/contexts.ts";
import { listFormatFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { type ContextRow, contextHeaders, contextRow } from "../../formats/context.ts";
import { formatList } from "../../formats/formatter.ts";
import { compareNaturally } from "../../values/natural-order.ts";

const TABLE = "table {{.Name}}{{if .Current}} *{{end}}\\t{{.Description}}\\t{{.DockerEndpoint}}\\t{{.Error}}";

export const command = defineCommand({
  use: "ls [OPTIONS]",
  short: "List contexts",
  aliases: "context ls, context list",
  args: noArgs,
  flags: {
    format: listFormatFlag,
    quiet: bool({ short: "q", usage: "Only show context names" }),
  },
  async run({ flags, cli }) {
    const current = cli.currentContext;
    const contexts = [getContext(cli, DEFAULT_CONTEXT), ...storeOf(cli).list()];
    const rows: ContextRow[] = contexts.map(({ Name, Metadata, Endpoints }) => ({
      name: Name,
      current: Name === current,
      description:
        Name === DEFAULT_CONTEXT ? "Current DOCKER_HOST based configuration" : (Metadata.Description ?? ""),
      endpoint: Endpoints.docker?.Host ?? "",
      error: Endpoints.docker ? "" : "cannot find docker endpoint in context",
    }));
    if (!rows.some((row) => row.current)) {
      const [problem] = [current].map((name) => attempt(() => getContext(cli, name)));
      rows.push({ name: current, current: true, description: "", endpoint: "", error: problem ?? "" });
    }
    rows.sort((a, b) => compareNaturally(a.name, b.name));
    const format = flags.format || "table";
    const chosen = format === "table" ? (flags.quiet ? "{{.Name}}" : TABLE) : format;
    cli.stdout.write(formatList({ format: chosen, headers: contextHeaders }, rows.map(contextRow)));
    if (cli.environment.DOCKER_HOST) {
      cli.stderr.line(
        "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global --context flag, or unset DOCKER_HOST environment variable.",
      );
    }
  },
});

/** The message of what went wrong. */
function attempt(work: () => unknown): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
