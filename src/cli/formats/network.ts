/** A network as a row of `network ls`. */
import type { Network } from "../../api/types.ts";
import { TemplateObject } from "../templates/object.ts";
import { goTimeOf } from "../values/times.ts";
import { joinLabels, shortId } from "./container.ts";

export const networkHeaders: Readonly<Record<string, string>> = {
  ID: "NETWORK ID",
  Name: "NAME",
  Driver: "DRIVER",
  Scope: "SCOPE",
  IPv4: "IPV4",
  IPv6: "IPV6",
  Internal: "INTERNAL",
  Labels: "LABELS",
  CreatedAt: "CREATED AT",
};

/** `--format raw`. */
export function rawNetworks({ quiet }: { readonly quiet: boolean }): string {
  return quiet
    ? "network_id: {{.ID}}"
    : "network_id: {{.ID}}\\nname: {{.Name}}\\ndriver: {{.Driver}}\\nscope: {{.Scope}}\\n";
}

export function networkRow(network: Network, { truncate }: { readonly truncate: boolean }): TemplateObject {
  const labels = network.Labels ?? {};
  return new TemplateObject("*network.networkContext", {
    ID: () => (truncate ? shortId(network.Id ?? "") : (network.Id ?? "")),
    Name: () => network.Name ?? "",
    Driver: () => network.Driver ?? "",
    Scope: () => network.Scope ?? "",
    IPv4: () => String(network.EnableIPv4 ?? false),
    IPv6: () => String(network.EnableIPv6 ?? false),
    Internal: () => String(network.Internal ?? false),
    Labels: () => joinLabels(labels),
    Label: (name) => labels[name] ?? "",
    CreatedAt: () => goTimeOf(String(network.Created ?? "")),
  });
}
