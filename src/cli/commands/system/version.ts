import { arch, platform } from "node:os";
import { API_VERSION } from "../../../api/route.ts";
import type { SystemVersion } from "../../../api/types.ts";
import { BUILD_TIME, COMMIT, VERSION } from "../../../base/version.ts";
import { engineVersion } from "../../../client/system.ts";
import { type Cli, defineCommand, noArgs, StatusError } from "../../command.ts";
import { inspectFormatFlag } from "../../common-flags.ts";
import { parseInspectTemplate } from "../../inspect.ts";
import { alignColumns } from "../../table.ts";
import { TemplateError } from "../../template.ts";

export const command = defineCommand({
  use: "version [OPTIONS]",
  short: "Show the Docker version information",
  args: noArgs,
  flags: { format: inspectFormatFlag },
  async run({ flags, cli }) {
    const template =
      flags.format === ""
        ? undefined
        : parseInspectTemplate(flags.format === "json" ? "{{json .}}" : flags.format);
    let server: SystemVersion | null = null;
    let failure: unknown;
    try {
      server = await engineVersion(cli.engine);
    } catch (error) {
      failure = error;
    }
    for (const { Name, Details } of server?.Components ?? []) {
      const details = (Details ?? {}) as Record<string, string>;
      if (Name === "Engine" && details.BuildTime) details.BuildTime = toAnsiDate(details.BuildTime);
    }
    const client = clientVersion(cli);
    if (template) cli.stdout.line(render(() => template.execute({ Client: client, Server: server })));
    else cli.stdout.write(alignColumns(`${describe(client, server)}\n`, { minWidth: 20, padding: 1 }));
    if (failure !== undefined) throw failure;
  },
});

function render(execute: () => string): string {
  try {
    return execute();
  } catch (error) {
    if (error instanceof TemplateError) throw new StatusError(error.message, 1, { cause: error });
    throw error;
  }
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
    DefaultAPIVersion: API_VERSION.join("."),
    GitCommit: COMMIT,
    GoVersion: `bun${Bun.version}`,
    Os: platform(),
    Arch: arch() === "x64" ? "amd64" : arch(),
    BuildTime: BUILD_TIME,
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
    ` Built:\t${toAnsiDate(client.BuildTime)}`,
    ` OS/Arch:\t${client.Os}/${client.Arch}`,
    ` Context:\t${client.Context}`,
  ];
  if (!server) return lines.join("\n");
  lines.push("", `Server:${server.Platform?.Name ? ` ${server.Platform.Name}` : ""}`);
  for (const { Name, Version, Details } of componentsOf(server)) {
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
    `  Built:\t${toAnsiDate(details.BuildTime ?? "")}`,
    `  OS/Arch:\t${details.Os ?? ""}/${details.Arch ?? ""}`,
    `  Experimental:\t${details.Experimental ?? ""}`,
  ];
}

/** Engines older than the list of components say the same at the top. */
function componentsOf(server: SystemVersion): NonNullable<SystemVersion["Components"]> {
  const components = server.Components ?? [];
  if (components.some(({ Name }) => Name === "Engine")) return components;
  const { ApiVersion, MinAPIVersion, GitCommit, GoVersion, Os, Arch, BuildTime, Experimental } = server;
  const Details = {
    ApiVersion,
    MinAPIVersion,
    GitCommit,
    GoVersion,
    Os,
    Arch,
    BuildTime,
    Experimental: String(Experimental ?? false),
  };
  return [...components, { Name: "Engine", Version: server.Version ?? "", Details }];
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
