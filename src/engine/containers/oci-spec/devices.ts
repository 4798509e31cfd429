/** Device nodes in /dev, and what the device cgroup lets through. */
import type { HostConfig } from "../../../api/types.ts";
import type { ContainerHost } from "../../../core/container-host.ts";
import { InvalidParameterError, NotImplementedError } from "../../../core/errors.ts";
import type { RuntimeDevice, RuntimeDeviceRule } from "../../../core/runtime-spec.ts";

export interface ContainerDevices {
  readonly nodes: readonly RuntimeDevice[];
  readonly rules: readonly RuntimeDeviceRule[];
}

const DENY_ALL: RuntimeDeviceRule = { allow: false, access: "rwm" };
const ALLOW_ALL: RuntimeDeviceRule = { allow: true, access: "rwm" };

/** Everything is refused but these: zero, null, urandom, random, tty, console. The runtime adds ptmx, pts and full. */
const DEFAULT_RULES: readonly RuntimeDeviceRule[] = [
  DENY_ALL,
  ...[
    [1, 5],
    [1, 3],
    [1, 9],
    [1, 8],
    [5, 0],
    [5, 1],
  ].map(([major, minor]): RuntimeDeviceRule => ({ allow: true, type: "c", major, minor, access: "rwm" })),
  // fuse
  { allow: false, type: "c", major: 10, minor: 229, access: "rwm" },
];

/** @throws InvalidParameterError, NotFoundError for a device that is not there */
export function toDevices(
  hostConfig: HostConfig,
  host: Pick<ContainerHost, "devicesAt" | "allDevices">,
): ContainerDevices {
  if (hostConfig.DeviceRequests?.length) {
    const [request] = hostConfig.DeviceRequests;
    throw new NotImplementedError(
      `could not select device driver ${JSON.stringify(request?.Driver ?? "")} with capabilities: ${JSON.stringify(request?.Capabilities ?? [])}`,
    );
  }
  const rules = (hostConfig.DeviceCgroupRules ?? []).map(parseDeviceRule);
  if (hostConfig.Privileged) {
    const moved = (hostConfig.Devices ?? []).filter(
      ({ PathOnHost, PathInContainer }) => PathInContainer && PathInContainer !== PathOnHost,
    );
    const added = moved.flatMap((device) => mapDevice(device, host).nodes);
    return { nodes: [...host.allDevices(), ...added], rules: [ALLOW_ALL] };
  }
  const devices = (hostConfig.Devices ?? []).map((device) => mapDevice(device, host));
  return {
    nodes: devices.flatMap(({ nodes }) => nodes),
    rules: [...DEFAULT_RULES, ...devices.flatMap((device) => device.rules), ...rules],
  };
}

function mapDevice(
  { PathOnHost = "", PathInContainer, CgroupPermissions }: NonNullable<HostConfig["Devices"]>[number],
  host: Pick<ContainerHost, "devicesAt">,
): ContainerDevices {
  const target = PathInContainer || PathOnHost;
  const found = host.devicesAt(PathOnHost);
  const nodes = found.map((device) => ({
    ...device,
    path: placeOf(device.path, PathOnHost, target, found.length),
  }));
  const access = CgroupPermissions || "rwm";
  return {
    nodes,
    rules: nodes.map(({ type, major, minor }) => ({
      allow: true,
      type: blockOrChar(type),
      major,
      minor,
      access,
    })),
  };
}

/** A single device takes the name asked for; those of a directory keep theirs below it. */
function placeOf(path: string, source: string, target: string, count: number): string {
  return count === 1 && !path.startsWith(`${source}/`) ? target : path.replace(source, target);
}

function blockOrChar(type: RuntimeDevice["type"]): "b" | "c" {
  return type === "b" ? "b" : "c";
}

/** `c 10:* rwm`. @throws InvalidParameterError */
function parseDeviceRule(text: string): RuntimeDeviceRule {
  const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(text);
  if (!match) throw new InvalidParameterError(`invalid device cgroup rule format: '${text}'`);
  const [, type, major, minor, access] = match;
  const toNumber = (part?: string): number | undefined => (part === "*" ? undefined : Number(part));
  return {
    allow: true,
    type: type as "a" | "b" | "c",
    major: toNumber(major),
    minor: toNumber(minor),
    access,
  };
}
