import { createNetwork } from "../../../client/networks.ts";
import { defineCommand, exactly } from "../../command.ts";
import { strings } from "../../flags/common-flags.ts";
import { bool, list, map, string } from "../../flags/flags.ts";
import { toIpam } from "../../options/ipam.ts";
import { checkLabel, toMap } from "../../options/key-values.ts";

export const command = defineCommand({
  use: "create [OPTIONS] NETWORK",
  short: "Create a network",
  args: exactly(1),
  flags: {
    attachable: bool({ usage: "Enable manual container attachment" }),
    "aux-address": map({ usage: "Auxiliary IPv4 or IPv6 addresses used by Network driver" }),
    "config-from": string({ usage: "The network from which to copy the configuration" }),
    "config-only": bool({ usage: "Create a configuration only network" }),
    driver: string({ short: "d", usage: "Driver to manage the Network", initial: "bridge" }),
    gateway: strings({ usage: "IPv4 or IPv6 Gateway for the master subnet" }),
    ingress: bool({ usage: "Create swarm routing-mesh network" }),
    internal: bool({ usage: "Restrict external access to the network" }),
    "ip-range": strings({ usage: "Allocate container ip from a sub-range" }),
    "ipam-driver": string({ usage: "IP Address Management Driver", initial: "default" }),
    "ipam-opt": map({ usage: "Set IPAM driver specific options" }),
    ipv4: bool({ usage: "Enable or disable IPv4 address assignment", initial: true }),
    ipv6: bool({ usage: "Enable or disable IPv6 address assignment" }),
    label: list({ usage: "Set metadata on a network", check: checkLabel }),
    opt: map({ short: "o", usage: "Set driver specific options" }),
    scope: string({ usage: "Control the network's scope" }),
    subnet: strings({ usage: "Subnet in CIDR format that represents a network segment" }),
  },
  async run({ flags, changed, args: [name = ""], cli }) {
    const { Id } = await createNetwork(cli.engine, {
      Name: name,
      Driver: flags.driver,
      Options: flags.opt,
      IPAM: toIpam({
        driver: flags["ipam-driver"],
        options: flags["ipam-opt"],
        subnets: flags.subnet,
        ranges: flags["ip-range"],
        gateways: flags.gateway,
        auxiliary: flags["aux-address"],
      }),
      Internal: flags.internal,
      ...(changed("ipv4") && { EnableIPv4: flags.ipv4 }),
      ...(changed("ipv6") && { EnableIPv6: flags.ipv6 }),
      Attachable: flags.attachable,
      Ingress: flags.ingress,
      ...(flags.scope !== "" && { Scope: flags.scope }),
      ConfigOnly: flags["config-only"],
      ...(flags["config-from"] !== "" && { ConfigFrom: { Network: flags["config-from"] } }),
      Labels: toMap(flags.label),
    });
    cli.stdout.line(Id);
  },
});
