/** EXPOSE: ports, ranges of them, and forms that mean more than it can do. */
import { isIP } from "node:net";
import type { Linter } from "../lint/linter.ts";
import * as rules from "../lint/rules.ts";
import { DockerfileError, during } from "../source/errors.ts";
import type { SourceRange } from "../source/ranges.ts";

/** `8000-8002/udp` as `8000/udp 8001/udp 8002/udp`. @throws DockerfileError */
export function exposedPorts(
  specs: readonly string[],
  location: readonly SourceRange[],
  linter: Linter,
): string[] {
  return specs.flatMap((spec) => {
    const { ip, hostPort, rest } = splitSpec(spec);
    const { port, protocol } = during(`invalid port: ${JSON.stringify(spec)}`, () => splitProtocol(rest));
    if (protocol !== protocol.toLowerCase()) linter.report(rules.exposeProtoCasing, location, spec);
    if (ip !== "" || hostPort !== "") linter.report(rules.exposeInvalidFormat, location, spec);
    checkAddress(ip);
    const range = rangeOf(port) ?? fail(`invalid containerPort: ${port}`);
    if (hostPort !== "") checkHostPort(hostPort, port, range);
    const count = range.end - range.start + 1;
    return Array.from({ length: count }, (_, index) => `${range.start + index}/${protocol.toLowerCase()}`);
  });
}

/** `[ip:]host:container`; an address may hold colons. */
function splitSpec(spec: string): { ip: string; hostPort: string; rest: string } {
  const parts = spec.split(":");
  const rest = parts.pop() ?? "";
  const hostPort = parts.pop() ?? "";
  return { ip: parts.join(":"), hostPort, rest };
}

function splitProtocol(text: string): { port: string; protocol: string } {
  const at = text.indexOf("/");
  const port = at < 0 ? text : text.slice(0, at);
  const protocol = at < 0 ? "" : text.slice(at + 1);
  if (port === "") throw new DockerfileError("no port specified");
  if (protocol === "") return { port, protocol: "tcp" };
  if (["tcp", "udp", "sctp"].includes(protocol.toLowerCase())) return { port, protocol };
  throw new DockerfileError(`invalid proto: ${protocol}`);
}

function checkAddress(ip: string): void {
  const address = /^\[(.*)\]$/.exec(ip)?.[1] ?? ip;
  if (ip !== "" && isIP(address) === 0) fail(`invalid IP address: ${address}`);
}

function checkHostPort(hostPort: string, port: string, range: { start: number; end: number }): void {
  const host = rangeOf(hostPort) ?? fail(`invalid hostPort: ${hostPort}`);
  const differs = range.end - range.start !== host.end - host.start;
  if (differs && range.end !== range.start) {
    fail(`invalid ranges specified for container and host Ports: ${port} and ${hostPort}`);
  }
}

function rangeOf(text: string): { start: number; end: number } | undefined {
  const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const [start, end] = [Number(first), Number(last)];
  return first !== undefined && start <= end && end <= 65_535 ? { start, end } : undefined;
}

function fail(message: string): never {
  throw new DockerfileError(message);
}
