import { arch, platform } from "node:os";
import { CLIENT_API_VERSION } from "../../../api/route.ts";
import type { SystemVersion } from "../../../api/types.ts";
import { BUILD_TIME, COMMIT, VERSION } from "../../../base/version.ts";
import { engineVersion } from "../../../client/system.ts";
import { parseInspectTemplate } from "../../actions/inspect.ts";
import { type Cli, defineCommand, noArgs } from "../../command.ts";
import { inspectFormatFlag } from "../../flags/common-flags.ts";
import { TemplateError } from "../../templates/errors.ts";
import { GoMap, GoStruct } from "../../templates/go-value.ts";
import type { Template } from "../../templates/template.ts";
import { alignColumns, type TableLayout } from "../../terminal/table.ts";

export const command = defineCommand({
  use: "version [OPTIONS]",
  short: "Show the Docker version information",
  args: noArgs,
  flags: { format: inspectFormatFlag },
  async run({ flags, cli }) {
    const template = flags.format === "" ? undefined : parse(flags.format);
    let server: SystemVersion | null = null;
    let failure: unknown;
    try {
      server = await engineVersion(cli.engine);
    } catch (error) {
      failure = error;
    }
    if (server) server = withEngine(server);
    const client = clientVersion(cli);
    try {
      const text = template
        ? await render(template, { Client: client, Server: server })
        : describe(client, server);
      cli.stdout.write(alignColumns(`${text}\n`, layout));
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      cli.stdout.write(alignColumns(`${error.output}\n`, layout));
      failure ??= error;
    }
    if (failure !== undefined) throw failure;
  },
});

const layout: TableLayout = { minWidth: 20, padding: 1 };

function parse(format: string): Template {
  const functions = { getDetailsOrder };
  return parseInspectTemplate(format === "json" ? "{{json .}}" : format, { name: "version", functions });
}

/** The names of a component's details. */
function getDetailsOrder(component: unknown): string[] {
  const details = component instanceof GoStruct ? component.get("Details") : undefined;
  return details instanceof GoMap ? [...details.entries.keys()].sort() : [];
}

/** @throws TemplateError */
async function render(template: Template, versions: object): Promise<string> {
  const { toGoStruct } = await import("../../templates/go-types.ts");
  return template.execute(toGoStruct("system.versionInfo", versions));
}

interface ClientVersion {
  readonly Version: string;
  readonly ApiVersion: string;
  readonly DefaultAPIVersion: string;
  readonly GitCommit: string;
  readonly GoVersion: string;
  readonly Os: string;
  readonly Arch: string;
  readonly BuildTime: string;
  readonly Context: string;
}

export function clientVersion({ engine }: Cli): ClientVersion {
  return {
    Version: VERSION,
    ApiVersion: engine.version.join("."),
    DefaultAPIVersion: CLIENT_API_VERSION.join("."),
    GitCommit: COMMIT,
    GoVersion: `bun${Bun.version}`,
    Os: platform(),
    Arch: arch() === "x64" ? "amd64" : arch(),
    BuildTime: toAnsiDate(BUILD_TIME),
    Context: "default",
  };
}

function describe(client: ClientVersion, server: SystemVersion | null): string {
  const downgraded =
    client.ApiVersion === client.DefaultAPIVersion ? "" : ` (downgraded from ${client.DefaultAPIVersion})`;
  const lines = [
    "Client:",
    ` Version:\t${client.Version}`,
    ` API version:\t${client.ApiVersion}${downgraded}`,
    ` Go version:\t${client.GoVersion}`,
    ` Git commit:\t${client.GitCommit}`,
    ` Built:\t${client.BuildTime}`,
    ` OS/Arch:\t${client.Os}/${client.Arch}`,
    ` Context:\t${client.Context}`,
  ];
  if (!server) return lines.join("\n");
  lines.push("", `Server:${server.Platform?.Name ? ` ${server.Platform.Name}` : ""}`);
  for (const { Name, Version, Details } of server.Components ?? []) {
    const details = (Details ?? {}) as Record<string, string>;
    lines.push(` ${Name}:`, `  Version:\t${Version}`);
    if (Name === "Engine") lines.push(...describeEngine(details));
    else for (const key of Object.keys(details).sort()) lines.push(`  ${key}:\t${details[key]}`);
  }
  return lines.join("\n");
}

function describeEngine(details: Readonly<Record<string, string>>): string[] {
  return [
    `  API version:\t${details.ApiVersion ?? ""} (minimum version ${details.MinAPIVersion ?? ""})`,
    `  Go version:\t${details.GoVersion ?? ""}`,
    `  Git commit:\t${details.GitCommit ?? ""}`,
    `  Built:\t${details.BuildTime ?? ""}`,
    `  OS/Arch:\t${details.Os ?? ""}/${details.Arch ?? ""}`,
    `  Experimental:\t${details.Experimental ?? ""}`,
  ];
}

/** With the engine among its components: engines older than that list say the same at the top. */
function withEngine(server: SystemVersion): SystemVersion {
  const components = server.Components ?? [];
  if (!components.some(({ Name }) => Name === "Engine")) {
    return { ...server, Components: [...components, engineComponent(server)] };
  }
  const Components = components.map((component) => {
    const details = component.Details as Record<string, string> | undefined;
    if (component.Name !== "Engine" || details?.BuildTime === undefined) return component;
    return { ...component, Details: { ...details, BuildTime: toAnsiDate(details.BuildTime) } };
  });
  return { ...server, Components };
}

function engineComponent(server: SystemVersion): NonNullable<SystemVersion["Components"]>[number] {
  const { Version = "", ApiVersion, MinAPIVersion, GitCommit, GoVersion, Os, Arch, Experimental } = server;
  const Details = {
    ApiVersion,
    MinAPIVersion,
    GitCommit,
    GoVersion,
    Os,
    Arch,
    BuildTime: toAnsiDate(server.BuildTime ?? ""),
    Experimental: String(Experimental ?? false),
  };
  return { Name: "Engine", Version, Details };
}

/** `Thu May  7 21:09:36 2026`, in the zone of the timestamp; what is no timestamp stays. */
function toAnsiDate(text: string): string {
  const match = /^(\d{4})-(\d\d)-(\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) return text;
  const [, year, month, day, clock] = match;
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  const [weekday, monthName] = date
    .toUTCString()
    .replace(",", "")
    .split(" ")
    .filter((_part, at) => at === 0 || at === 2);
  return `${weekday} ${monthName} ${String(Number(day)).padStart(2)} ${clock} ${year}`;
}
