/** A container as a row of `ps`. */
import type { ContainerSummary } from "../../api/types.ts";
import { GoNil, GoStruct, type GoStructType, type GoValue } from "../templates/go-value.ts";
import { TemplateObject } from "../templates/object.ts";
import { ellipsis } from "../terminal/table.ts";
import { goQuote } from "../values/go-text.ts";
import { familiarName, familiarString, findReference } from "../values/reference.ts";
import { goTime } from "../values/times.ts";
import { humanDuration, humanSize } from "../values/units.ts";

export const containerHeaders: Readonly<Record<string, string>> = {
  ID: "CONTAINER ID",
  Names: "NAMES",
  Image: "IMAGE",
  Command: "COMMAND",
  CreatedAt: "CREATED AT",
  RunningFor: "CREATED",
  Ports: "PORTS",
  State: "STATE",
  Status: "STATUS",
  Size: "SIZE",
  Labels: "LABELS",
  Mounts: "MOUNTS",
  LocalVolumes: "LOCAL VOLUMES",
  Networks: "NETWORKS",
  Platform: "PLATFORM",
};

/** `--format raw`. */
export function rawContainers({ quiet, size }: { readonly quiet: boolean; readonly size: boolean }): string {
  if (quiet) return "container_id: {{.ID}}";
  return `container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
labels: {{- pad .Labels 1 0}}
ports: {{- pad .Ports 1 0}}
${size ? "size: {{.Size}}\\n" : ""}`;
}

export function containerRow(
  container: ContainerSummary,
  { truncate }: { readonly truncate: boolean },
): TemplateObject {
  const labels = container.Labels ?? {};
  return new TemplateObject("*formatter.ContainerContext", {
    ID: () => (truncate ? shortId(container.Id ?? "") : (container.Id ?? "")),
    Names: () => {
      const names = (container.Names ?? []).map((name) => name.slice(1));
      const own = truncate ? names.find((name) => !name.includes("/")) : undefined;
      return own ?? names.join(",");
    },
    Image: () => imageName(container, truncate),
    Command: () => goQuote(truncate ? ellipsis(container.Command ?? "", 20) : (container.Command ?? "")),
    CreatedAt: () => goTime(container.Created ?? 0),
    RunningFor: () => `${humanDuration(Date.now() / 1000 - (container.Created ?? 0))} ago`,
    Ports: () => displayPorts(container.Ports ?? []),
    State: () => container.State ?? "",
    Status: () => container.Status ?? "",
    Size: () => {
      const written = humanSize(container.SizeRw ?? 0, 3);
      const all = container.SizeRootFs ?? 0;
      return all > 0 ? `${written} (virtual ${humanSize(all, 3)})` : written;
    },
    Labels: () => joinLabels(labels),
    Label: (name) => labels[name] ?? "",
    Mounts: () =>
      (container.Mounts ?? [])
        .map(({ Name, Source }) => Name || (Source ?? ""))
        .map((name) => (truncate ? ellipsis(name, 15) : name))
        .join(","),
    LocalVolumes: () => String((container.Mounts ?? []).filter(({ Driver }) => Driver === "local").length),
    Networks: () => Object.keys(container.NetworkSettings?.Networks ?? {}).join(","),
    Platform: () => platformOf(container),
  });
}

const platformType: GoStructType = {
  name: "*formatter.Platform",
  fields: [
    { name: "Architecture", json: "architecture", omitEmpty: false, embedded: false },
    { name: "OS", json: "os", omitEmpty: false, embedded: false },
    { name: "Variant", json: "variant", omitEmpty: true, embedded: false },
  ],
  string: (platform) =>
    ["OS", "Architecture", "Variant"]
      .map((name) => platform.get(name))
      .filter(Boolean)
      .join("/"),
};

/** Text for people, an object in JSON. */
function platformOf({ ImageManifestDescriptor }: ContainerSummary): GoValue {
  const platform = ImageManifestDescriptor?.platform;
  if (!platform) return new GoNil("*formatter.Platform", "pointer");
  return new GoStruct(platformType, [platform.architecture ?? "", platform.os ?? "", platform.variant ?? ""]);
}

function imageName({ Image = "", ImageID = "" }: ContainerSummary, truncate: boolean): string {
  if (Image === "") return "<no image>";
  if (!truncate) return Image;
  const id = shortId(ImageID);
  if (id !== "" && id === shortId(Image)) return id;
  const reference = findReference(Image);
  if (!reference) return Image;
  return reference.tag === undefined
    ? familiarName(reference)
    : familiarString({ domain: reference.domain, path: reference.path, tag: reference.tag });
}

/** The first twelve digits, without the algorithm. */
export function shortId(id: string): string {
  return id.slice(id.indexOf(":") + 1).slice(0, 12);
}

export function joinLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");
}

type Port = NonNullable<ContainerSummary["Ports"]>[number];

/** Runs of ports are joined: `0.0.0.0:80-81->80-81/tcp, 443/tcp`. */
function displayPorts(ports: readonly Port[]): string {
  const groups = new Map<string, { first: number; last: number }>();
  const shown: string[] = [];
  const mapped: string[] = [];
  for (const port of [...ports].sort(comparePorts)) {
    const { IP, PrivatePort, PublicPort, Type } = port;
    if (IP && PublicPort !== PrivatePort) {
      mapped.push(`${joinHostPort(IP, String(PublicPort ?? 0))}->${PrivatePort}/${Type}`);
      continue;
    }
    const key = IP ? `${IP}/${Type}` : Type;
    const group = groups.get(key);
    if (group && PrivatePort === group.last + 1) {
      group.last = PrivatePort;
      continue;
    }
    if (group) shown.push(displayGroup(key, group));
    // Replacing a group keeps its place.
    groups.set(key, { first: PrivatePort, last: PrivatePort });
  }
  for (const [key, group] of groups) shown.push(displayGroup(key, group));
  return [...shown, ...mapped].join(", ");
}

function comparePorts(a: Port, b: Port): number {
  const text = (x = "", y = ""): number => (x < y ? -1 : x > y ? 1 : 0);
  return (
    a.PrivatePort - b.PrivatePort ||
    text(a.IP, b.IP) ||
    (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
    text(a.Type, b.Type)
  );
}

function displayGroup(key: string, { first, last }: { first: number; last: number }): string {
  const slash = key.lastIndexOf("/");
  const range = first === last ? String(first) : `${first}-${last}`;
  if (slash < 0) return `${range}/${key}`;
  return `${joinHostPort(key.slice(0, slash), range)}->${range}/${key.slice(slash + 1)}`;
}

/** IPv6 addresses go in brackets. */
export function joinHostPort(host: string, port: string): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
