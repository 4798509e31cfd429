import { inspectContainer } from "../../../client/containers.ts";
import { between, defineCommand } from "../../command.ts";
import { cut, parseInteger } from "../../flags/flags.ts";
import { joinHostPort } from "../../formats/container.ts";
import { compareNaturally } from "../../values/natural-order.ts";

export const command = defineCommand({
  use: "port CONTAINER [PRIVATE_PORT[/PROTO]]",
  short: "List port mappings or a specific mapping for the container",
  aliases: "container port, port",
  args: between(1, 2),
  flags: {},
  async run({ args: [name = "", wanted], cli }) {
    const { NetworkSettings } = await inspectContainer(cli.engine, name);
    const ports = NetworkSettings?.Ports ?? {};
    const lines: string[] = [];
    if (wanted !== undefined && wanted !== "") {
      const [port, protocol] = cut(wanted, "/");
      checkPort(port);
      const bindings = ports[`${port}/${protocol || "tcp"}`] ?? [];
      if (bindings.length === 0) throw new Error(`Error: No public port '${wanted}' published for ${name}`);
      for (const { HostIp, HostPort } of bindings) lines.push(joinHostPort(HostIp ?? "", HostPort ?? ""));
    } else {
      for (const [port, bindings] of Object.entries(ports)) {
        for (const { HostIp, HostPort } of bindings ?? []) {
          lines.push(`${port} -> ${joinHostPort(HostIp ?? "", HostPort ?? "")}`);
        }
      }
    }
    lines.sort(compareNaturally);
    if (lines.length > 0) cli.stdout.line(lines.join("\n"));
  },
});

function checkPort(port: string): void {
  try {
    parseInteger(port, { bits: 16, unsigned: true });
  } catch (cause) {
    throw new Error(`Error: invalid port (${port}): ${(cause as Error).message}`, { cause });
  }
}
