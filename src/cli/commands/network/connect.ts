import { connectNetwork } from "../../../client/networks.ts";
import { defineCommand, exactly } from "../../command.ts";
import { strings } from "../../flags/common-flags.ts";
import { cut, integer, list, string } from "../../flags/flags.ts";
import { checkLink } from "../../options/checks.ts";

export const command = defineCommand({
  use: "connect [OPTIONS] NETWORK CONTAINER",
  short: "Connect a container to a network",
  args: exactly(2),
  flags: {
    alias: strings({ usage: "Add network-scoped alias for the container" }),
    "driver-opt": strings({ usage: "driver options for the network" }),
    "gw-priority": integer({
      usage: "Highest gw-priority provides the default gateway. Accepts positive and negative values.",
    }),
    ip: string({ usage: 'IPv4 address (e.g., "172.30.100.104")' }),
    ip6: string({ usage: 'IPv6 address (e.g., "2001:db8::33")' }),
    link: list({ usage: "Add link to another container", check: checkLink }),
    "link-local-ip": strings({ usage: "Add a link-local address for the container" }),
  },
  async run({ flags, args: [network = "", container = ""], cli }) {
    const options = flags["driver-opt"].map((option) => {
      const [key, value] = cut(option, "=");
      if (value === undefined || key === "") {
        throw new Error("invalid key/value pair format in driver options");
      }
      return [key.trim(), value.trim()];
    });
    await connectNetwork(cli.engine, network, {
      Container: container,
      EndpointConfig: {
        IPAMConfig: {
          ...(flags.ip && { IPv4Address: flags.ip }),
          ...(flags.ip6 && { IPv6Address: flags.ip6 }),
          ...(flags["link-local-ip"].length > 0 && { LinkLocalIPs: [...flags["link-local-ip"]] }),
        },
        Links: [...flags.link],
        Aliases: [...flags.alias],
        DriverOpts: Object.fromEntries(options),
        GwPriority: flags["gw-priority"],
      },
    });
  },
});
