/** A volume as a row of `volume ls`. */
import type { Volume } from "../../api/types.ts";
import { TemplateObject } from "../templates/object.ts";
import { humanSize } from "../values/units.ts";
import { joinLabels } from "./container.ts";

export const volumeHeaders: Readonly<Record<string, string>> = {
  ID: "ID",
  Name: "VOLUME NAME",
  Group: "GROUP",
  Driver: "DRIVER",
  Scope: "SCOPE",
  Availability: "AVAILABILITY",
  Mountpoint: "MOUNTPOINT",
  Labels: "LABELS",
  Links: "LINKS",
  Size: "SIZE",
  Status: "STATUS",
};

/** `--format raw`. */
export function rawVolumes({ quiet }: { readonly quiet: boolean }): string {
  return quiet ? "name: {{.Name}}" : "name: {{.Name}}\\ndriver: {{.Driver}}\\n";
}

export function volumeRow(volume: Volume): TemplateObject {
  const labels = volume.Labels ?? {};
  const usage = volume.UsageData;
  return new TemplateObject("*formatter.volumeContext", {
    Name: () => volume.Name,
    Driver: () => volume.Driver,
    Scope: () => volume.Scope ?? "",
    Mountpoint: () => volume.Mountpoint,
    Labels: () => joinLabels(labels),
    Label: (name) => labels[name] ?? "",
    Links: () => (usage ? String(usage.RefCount) : "N/A"),
    Size: () => (usage ? humanSize(usage.Size) : "N/A"),
    Group: () => "N/A",
    Availability: () => "N/A",
    Status: () => "N/A",
  });
}
