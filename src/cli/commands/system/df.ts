import type { ImageSummary, Volume } from "../../../api/types.ts";
import { diskUsage } from "../../../client/system.ts";
import { defineCommand, noArgs } from "../../command.ts";
import { listFormatFlag } from "../../flags/common-flags.ts";
import { bool } from "../../flags/flags.ts";
import { containerHeaders, containerRow } from "../../formats/container.ts";
import { formatList } from "../../formats/formatter.ts";
import { imageHeaders, imageRows } from "../../formats/image.ts";
import { volumeHeaders, volumeRow } from "../../formats/volume.ts";
import { TemplateObject } from "../../templates/object.ts";
import { humanSize } from "../../values/units.ts";

const TABLE = "table {{.Type}}\\t{{.TotalCount}}\\t{{.Active}}\\t{{.Size}}\\t{{.Reclaimable}}";
const headers = {
  Type: "TYPE",
  TotalCount: "TOTAL",
  Active: "ACTIVE",
  Size: "SIZE",
  Reclaimable: "RECLAIMABLE",
};

const IMAGES =
  "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t{{.CreatedSince}}\\t{{.VirtualSize}}\\t{{.SharedSize}}\\t{{.UniqueSize}}\\t{{.Containers}}";
const CONTAINERS =
  "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.LocalVolumes}}\\t{{.Size}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Names}}";
const VOLUMES = "table {{.Name}}\\t{{.Links}}\\t{{.Size}}";

type ContainerSummary = Parameters<typeof containerRow>[0];

interface CacheRecord {
  readonly Size: number;
  readonly InUse: boolean;
  readonly Shared: boolean;
}

interface Usage {
  readonly LayersSize?: number;
  readonly Images?: readonly ImageSummary[] | null;
  readonly Containers?: readonly ContainerSummary[] | null;
  readonly Volumes?: readonly Volume[] | null;
  readonly BuildCache?: readonly CacheRecord[] | null;
}

export const command = defineCommand({
  use: "df [OPTIONS]",
  short: "Show docker disk usage",
  args: noArgs,
  flags: {
    format: listFormatFlag,
    verbose: bool({ short: "v", usage: "Show detailed information on space usage" }),
  },
  async run({ flags, cli }) {
    const usage = await diskUsage<Usage>(cli.engine);
    if (flags.verbose && flags.format === "") cli.stdout.write(verbose(usage));
    else {
      const format = flags.format === "" || flags.format === "table" ? TABLE : flags.format;
      cli.stdout.write(formatList({ format, headers }, summaries(usage)));
    }
  },
});

function summaries({ LayersSize, Images, Containers, Volumes, BuildCache }: Usage): TemplateObject[] {
  const images = Images ?? [];
  const used = images.filter(({ Containers: count }) => count > 0);
  const total = LayersSize ?? 0;
  const inUse = used.reduce(
    (sum, { Size, SharedSize }) => sum + (SharedSize > 0 ? Size - SharedSize : Size),
    0,
  );
  const containers = (Containers ?? []) as readonly { SizeRw?: number; State?: string }[];
  const active = containers.filter(({ State }) => /^(?:running|paused|restarting)$/.test(State ?? ""));
  const sizeOf = (list: readonly { SizeRw?: number }[]) =>
    list.reduce((sum, each) => sum + (each.SizeRw ?? 0), 0);
  const volumes = (Volumes ?? []).map(({ UsageData }) => ({
    size: UsageData?.Size ?? 0,
    links: UsageData?.RefCount ?? 0,
  }));
  const sum = (list: readonly { size: number }[]) => list.reduce((all, { size }) => all + size, 0);
  const unused = volumes.filter(({ links }) => links === 0);
  const cache = BuildCache ?? [];
  const cacheSize = (list: readonly CacheRecord[]) =>
    list.reduce((all, { Size, Shared }) => all + (Shared ? 0 : Size), 0);
  return [
    summary("Images", images.length, used.length, total, total - inUse),
    summary(
      "Containers",
      containers.length,
      active.length,
      sizeOf(containers),
      sizeOf(containers) - sizeOf(active),
    ),
    summary("Local Volumes", volumes.length, volumes.length - unused.length, sum(volumes), sum(unused)),
    summary(
      "Build Cache",
      cache.length,
      cache.filter(({ InUse }) => InUse).length,
      cacheSize(cache),
      cacheSize(cache.filter(({ InUse, Shared }) => !InUse && !Shared)),
      false,
    ),
  ];
}

function summary(
  type: string,
  count: number,
  active: number,
  size: number,
  reclaimable: number,
  percentage = true,
): TemplateObject {
  const part = percentage && size > 0 ? ` (${Math.trunc((reclaimable * 100) / size)}%)` : "";
  return new TemplateObject("*formatter.diskUsageContext", {
    Type: () => type,
    TotalCount: () => String(count),
    Active: () => String(active),
    Size: () => humanSize(size),
    Reclaimable: () => humanSize(reclaimable) + part,
  });
}

function verbose({ Images, Containers, Volumes, BuildCache }: Usage): string {
  const images = (Images ?? []).flatMap((image) =>
    imageRows(image, { truncate: true, digests: false, needsDigests: false }),
  );
  const cache = BuildCache ?? [];
  const cacheSize = cache.reduce((sum, { Size, Shared }) => sum + (Shared ? 0 : Size), 0);
  return [
    "Images space usage:\n",
    formatList({ format: IMAGES, headers: { ...imageHeaders, VirtualSize: "SIZE" } }, images),
    "Containers space usage:\n",
    formatList(
      { format: CONTAINERS, headers: containerHeaders },
      (Containers ?? []).map((container) => containerRow(container, { truncate: true })),
    ),
    "Local Volumes space usage:\n",
    formatList({ format: VOLUMES, headers: volumeHeaders }, (Volumes ?? []).map(volumeRow)),
    `Build cache usage: ${humanSize(cacheSize)}\n`,
  ].join("\n");
}
