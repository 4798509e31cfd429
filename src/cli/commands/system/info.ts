import type { SystemInfo } from "../../../api/types.ts";
import { VERSION } from "../../../base/version.ts";
import { EngineConnectionError } from "../../../client/errors.ts";
import { engineInfo } from "../../../client/system.ts";
import { parseInspectTemplate } from "../../actions/inspect.ts";
import { type Cli, defineCommand, messageOf, noArgs } from "../../command.ts";
import { HUB_CREDENTIALS_KEY } from "../../config/config-file.ts";
import { inspectFormatFlag } from "../../flags/common-flags.ts";
import { TemplateError } from "../../templates/errors.ts";
import type { Template } from "../../templates/template.ts";
import { bytesSize } from "../../values/units.ts";
import { clientVersion } from "./version.ts";

export const command = defineCommand({
  use: "info [OPTIONS]",
  short: "Display system-wide information",
  aliases: "system info, info",
  args: noArgs,
  flags: { format: inspectFormatFlag },
  async run({ flags, cli }) {
    if (flags.format !== "") return await printFormatted(cli, flags.format);
    const lines = [
      "Client:",
      ` Version:    ${VERSION}`,
      ` Context:    ${cli.currentContext}`,
      ` Debug Mode: ${cli.debug}`,
      ...(await describePlugins(cli)),
      "",
      "Server:",
    ];
    let info: SystemInfo;
    try {
      info = await engineInfo(cli.engine);
    } catch (error) {
      cli.stdout.line(lines.join("\n"));
      if (error instanceof EngineConnectionError) throw error;
      cli.stderr.line(`ERROR: ${messageOf(error)}`);
      throw new Error("errors pretty printing info", { cause: error });
    }
    const user = cli.config.settings.auths?.[HUB_CREDENTIALS_KEY]?.username ?? "";
    cli.stdout.line([...lines, ...describe(info, user, cli.debug), ""].join("\n"));
    for (const warning of info.Warnings ?? []) cli.stderr.line(warning);
    return 0;
  },
});

/** Those that cannot be run are warned of. */
async function describePlugins(cli: Cli): Promise<string[]> {
  const plugins = await cli.plugins;
  for (const { Path, Err } of plugins) {
    if (Err !== undefined) cli.stderr.line(`WARNING: Plugin "${Path}" is not valid: ${Err}`);
  }
  const good = plugins.filter(({ Err }) => Err === undefined);
  if (good.length === 0) return [];
  const lines = good.flatMap(({ Name, ShortDescription = "", Vendor = "", Version = "", Path }) => [
    `  ${Name}: ${ShortDescription} (${Vendor})`,
    ...(Version === "" ? [] : [`    Version:  ${Version}`]),
    `    Path:     ${Path}`,
  ]);
  return [" Plugins:", ...lines];
}

async function printFormatted(cli: Cli, format: string): Promise<number> {
  const template = parseInspectTemplate(format === "json" ? "{{json .}}" : format);
  const { toGoStruct } = await import("../../templates/go-types.ts");
  const { ApiVersion: _negotiated, ...version } = clientVersion(cli);
  const client = { ClientInfo: { Debug: cli.debug, ...version, Plugins: await cli.plugins } };
  const needsServer = !/\.[a-zA-Z]/.test(format) || !fits(template, toGoStruct("system.sparseInfo", client));
  const { info, failure } = needsServer ? await serverInfo(cli) : {};
  const failures: unknown[] = failure === undefined ? [] : [failure];
  try {
    cli.stdout.line(template.execute(toGoStruct("system.dockerInfo", { ...info, ...client })));
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    cli.stdout.line(error.output);
    failures.push(error);
  }
  if (failures.length > 0) throw new Error(failures.map(messageOf).join("\n"), { cause: failures[0] });
  return 0;
}

/** Whether a template can do with what the client knows by itself. */
function fits(template: Template, data: unknown): boolean {
  try {
    template.execute(data);
    return true;
  } catch (error) {
    if (error instanceof TemplateError) return false;
    throw error;
  }
}

/** An engine that answers with an error is part of the information; one that does not answer is a failure. */
async function serverInfo(cli: Cli): Promise<{ info?: object; failure?: unknown }> {
  try {
    return { info: await engineInfo(cli.engine) };
  } catch (error) {
    if (error instanceof EngineConnectionError) return { failure: error };
    cli.stderr.line(messageOf(error));
    return { info: { ServerErrors: [messageOf(error)] } };
  }
}

function describe(info: SystemInfo, user: string, debug: boolean): string[] {
  const lines: string[] = [];
  const add = (label: string, value: unknown): void => void lines.push(`${label} ${value ?? ""}`);
  const addIf = (label: string, value: unknown): void => {
    if (value !== undefined && value !== null && value !== "") add(label, value);
  };
  add(" Containers:", info.Containers);
  add("  Running:", info.ContainersRunning);
  add("  Paused:", info.ContainersPaused);
  add("  Stopped:", info.ContainersStopped);
  add(" Images:", info.Images);
  addIf(" Server Version:", info.ServerVersion);
  addIf(" Storage Driver:", info.Driver);
  for (const [key, value] of info.DriverStatus ?? []) lines.push(`  ${key}: ${value}`);
  addIf(" Logging Driver:", info.LoggingDriver);
  addIf(" Cgroup Driver:", info.CgroupDriver);
  addIf(" Cgroup Version:", info.CgroupVersion);
  lines.push(" Plugins:");
  add("  Volume:", (info.Plugins?.Volume ?? []).join(" "));
  add("  Network:", (info.Plugins?.Network ?? []).join(" "));
  if (info.Plugins?.Authorization?.length) add("  Authorization:", info.Plugins.Authorization.join(" "));
  add("  Log:", (info.Plugins?.Log ?? []).join(" "));
  if (info.CDISpecDirs?.length)
    lines.push(" CDI spec directories:", ...info.CDISpecDirs.map((path) => `  ${path}`));
  add(" Swarm:", info.Swarm?.LocalNodeState);
  const runtimes = Object.keys(info.Runtimes ?? {});
  if (runtimes.length > 0) {
    add(" Runtimes:", runtimes.join(" "));
    add(" Default Runtime:", info.DefaultRuntime);
  }
  if (info.OSType === "linux") {
    add(" Init Binary:", info.InitBinary);
    add(" containerd version:", info.ContainerdCommit?.ID);
    add(" runc version:", info.RuncCommit?.ID);
    add(" init version:", info.InitCommit?.ID);
    lines.push(...describeSecurity(info.SecurityOptions ?? []));
  }
  addIf(" Kernel Version:", info.KernelVersion);
  addIf(" Operating System:", info.OperatingSystem);
  addIf(" OSType:", info.OSType);
  addIf(" Architecture:", info.Architecture);
  add(" CPUs:", info.NCPU);
  add(" Total Memory:", bytesSize(info.MemTotal ?? 0));
  addIf(" Name:", info.Name);
  addIf(" ID:", info.ID);
  add(" Docker Root Dir:", info.DockerRootDir);
  add(" Debug Mode:", info.Debug);
  if (info.Debug || debug) {
    add("  File Descriptors:", info.NFd);
    add("  Goroutines:", info.NGoroutines);
    add("  System Time:", info.SystemTime);
    add("  EventsListeners:", info.NEventsListener);
  }
  addIf(" HTTP Proxy:", info.HttpProxy);
  addIf(" HTTPS Proxy:", info.HttpsProxy);
  addIf(" No Proxy:", info.NoProxy);
  addIf(" Username:", user);
  if (info.Labels?.length) lines.push(" Labels:", ...info.Labels.map((label) => `  ${label}`));
  add(" Experimental:", info.ExperimentalBuild);
  lines.push(...describeRegistries(info));
  add(" Live Restore Enabled:", info.LiveRestoreEnabled);
  addIf(" Product License:", info.ProductLicense);
  if (info.DefaultAddressPools?.length) {
    lines.push(" Default Address Pools:");
    for (const { Base, Size } of info.DefaultAddressPools) lines.push(`   Base: ${Base}, Size: ${Size}`);
  }
  return lines;
}

/** `name=seccomp,profile=default` in two lines. */
function describeSecurity(options: readonly string[]): string[] {
  if (options.length === 0) return [];
  const lines = [" Security Options:"];
  for (const option of options) {
    const pairs = option.split(",").map((pair) => pair.split("="));
    const name = pairs.find(([key]) => key === "name")?.[1] ?? option;
    lines.push(`  ${name}`);
    for (const [key, value] of pairs) if (key === "profile") lines.push(`   Profile: ${value}`);
  }
  return lines;
}

function describeRegistries({ RegistryConfig }: SystemInfo): string[] {
  if (!RegistryConfig) return [];
  const lines: string[] = [];
  const networks = RegistryConfig.InsecureRegistryCIDRs ?? [];
  const indexes = Object.values(RegistryConfig.IndexConfigs ?? {});
  if (networks.length > 0 || indexes.length > 0) {
    lines.push(" Insecure Registries:");
    for (const index of indexes) if (!index?.Secure) lines.push(`  ${index?.Name}`);
    for (const network of networks) lines.push(`  ${network}`);
  }
  const mirrors = RegistryConfig.Mirrors ?? [];
  if (mirrors.length > 0) lines.push(" Registry Mirrors:", ...mirrors.map((mirror) => `  ${mirror}`));
  return lines;
}
