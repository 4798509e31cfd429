/** Containers as an API version shows them: what it did not have yet, or has not any more, is left out. Pure. */

import { shortId } from "../../core/ids.ts";
import type { ContainerDetails, ContainerView } from "../../engine/containers/queries/inspect.ts";
import { toInspect, toSummary } from "../encode/container.ts";
import type { ApiLine } from "./create.ts";

/** One element of `GET /containers/json`. @param now ms since the epoch */
export function summaryFor(api: ApiLine, view: ContainerView, now: number): Record<string, unknown> {
  const { ImageManifestDescriptor, HostConfig, ...summary } = toSummary(view, now);
  const { Annotations, ...hostConfig } = HostConfig;
  const { health } = view.record.state;
  return {
    ...summary,
    HostConfig: api.atLeast([1, 46]) ? HostConfig : hostConfig,
    ...(api.atLeast([1, 48]) && ImageManifestDescriptor && { ImageManifestDescriptor }),
    ...(api.atLeast([1, 52]) && {
      Health: { Status: health?.status ?? "none", FailingStreak: health?.failingStreak ?? 0 },
    }),
  };
}

/** `GET /containers/{id}/json` */
export function inspectFor(api: ApiLine, details: ContainerDetails): object {
  const { ImageManifestDescriptor, ...inspect } = toInspect(details);
  return {
    ...inspect,
    ...(api.atLeast([1, 48]) && { ImageManifestDescriptor }),
    Config: configFor(api, inspect.Config),
    NetworkSettings: networkSettingsFor(api, inspect.NetworkSettings, details),
  };
}

function configFor(api: ApiLine, config: Readonly<Record<string, unknown>>): object {
  if (!api.atLeast([1, 52])) return config;
  const { MacAddress: _address, OnBuild, ...rest } = config;
  return { ...rest, ...(Array.isArray(OnBuild) && OnBuild.length > 0 && { OnBuild }) };
}

/** The first fields of the endpoint on the default bridge were the settings themselves once. */
const NETWORK_FIELDS = ["SandboxID", "SandboxKey", "Ports", "Networks"];

function networkSettingsFor(
  api: ApiLine,
  settings: Readonly<Record<string, unknown>>,
  { record }: ContainerDetails,
): object {
  if (api.atLeast([1, 52])) {
    return Object.fromEntries(NETWORK_FIELDS.map((name) => [name, settings[name]]));
  }
  if (api.atLeast([1, 45])) return settings;
  const extra = [shortId(record.id), record.config.Hostname].filter(
    (name) => name !== undefined && name !== "",
  );
  const networks = Object.entries(
    settings.Networks as Readonly<Record<string, { Aliases: string[] | null }>>,
  );
  return {
    ...settings,
    Networks: Object.fromEntries(
      networks.map(([name, endpoint]) => [
        name,
        isUserDefined(name)
          ? { ...endpoint, Aliases: [...new Set([...(endpoint.Aliases ?? []), ...extra])] }
          : endpoint,
      ]),
    ),
  };
}

function isUserDefined(network: string): boolean {
  return !["bridge", "host", "none", "default"].includes(network);
}
