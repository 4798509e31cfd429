/** `--publish` and `--expose` (docker/go-connections, nat). Pure. */
import { isIP } from "node:net";
import type { PortMap } from "../../api/types.ts";
import { cut } from "../flags/flags.ts";
import { goQuote } from "../values/go-text.ts";

export interface PublishedPorts {
  readonly exposed: Record<string, Record<string, never>>;
  readonly bindings: PortMap;
}

/** @throws Error with Docker's words */
export function parsePublish(specs: readonly string[]): PublishedPorts {
  const exposed: Record<string, Record<string, never>> = {};
  const bindings: PortMap = {};
  for (const spec of specs.map(toStandardNotation)) {
    for (const { port, binding } of parsePortSpec(spec)) {
      exposed[port] = {};
      bindings[port] = [...(bindings[port] ?? []), binding];
    }
  }
  return { exposed, bindings };
}

/** Ports of `--expose`: `80`, `80/udp`, `8000-8010`. */
export function parseExpose(spec: string): string[] {
  if (spec.includes(":")) throw new Error(`invalid port format for --expose: ${spec}`);
  const { protocol, port } = splitProtocol(spec);
  try {
    const { first, last } = parseRange(port);
    return Array.from({ length: last - first + 1 }, (_none, at) => `${first + at}/${protocol}`);
  } catch (cause) {
    throw new Error(`invalid range format for --expose: ${spec}, error: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** `published=8080,target=80` as `8080:80/tcp`. */
function toStandardNotation(spec: string): string {
  if (!spec.includes("=")) return spec;
  const fields: Record<string, string> = { protocol: "tcp", published: "", target: "" };
  for (const field of spec.split(",")) {
    const [key, value] = cut(field, "=");
    if (value === undefined || key === "") {
      throw new Error(`invalid publish opts format (should be name=value but got '${field}')`);
    }
    fields[key] = value;
  }
  return `${fields.published}:${fields.target}/${fields.protocol}`;
}

function parsePortSpec(spec: string): { port: string; binding: { HostIp: string; HostPort: string } }[] {
  const parts = spec.split(":");
  const hostText = parts.length > 1 ? (parts.at(-2) as string) : "";
  const { protocol, port: containerText } = splitProtocol(parts.at(-1) as string);
  const bracketed = parts.slice(0, -2).join(":");
  const address = /^\[(.*)\]$/.exec(bracketed)?.[1] ?? bracketed;
  if (address !== "" && isIP(address) === 0) throw new Error(`invalid IP address: ${address}`);
  if (containerText === "") throw new Error(`no port specified: ${spec}<empty>`);
  const container = rangeOr(containerText, `invalid containerPort: ${containerText}`);
  const host = hostText === "" ? undefined : rangeOr(hostText, `invalid hostPort: ${hostText}`);
  const width = container.last - container.first;
  if (host && host.last - host.first !== width && width > 0) {
    throw new Error(
      `invalid ranges specified for container and host Ports: ${containerText} and ${hostText}`,
    );
  }
  if (!isProtocol(protocol.toLowerCase())) throw new Error(`invalid proto: ${protocol}`);
  return Array.from({ length: width + 1 }, (_none, at) => ({
    port: `${container.first + at}/${protocol.toLowerCase()}`,
    binding: { HostIp: address, HostPort: host ? hostPort(host, at, width) : "" },
  }));
}

/** A range on the host for a single port lets the engine choose within it. */
function hostPort({ first, last }: { first: number; last: number }, at: number, width: number): string {
  return width === 0 && first !== last ? `${first}-${last}` : String(first + at);
}

function splitProtocol(text: string): { protocol: string; port: string } {
  const [port, protocol] = cut(text, "/");
  return { port, protocol: protocol || "tcp" };
}

function isProtocol(text: string): boolean {
  return text === "tcp" || text === "udp" || text === "sctp";
}

function rangeOr(text: string, complaint: string): { first: number; last: number } {
  try {
    return parseRange(text);
  } catch (cause) {
    throw new Error(complaint, { cause });
  }
}

function parseRange(text: string): { first: number; last: number } {
  if (text === "") throw new Error("empty string specified for ports");
  const [firstText = "", lastText = firstText] = text.split("-");
  const [first, last] = [parsePort(firstText), parsePort(lastText)];
  if (last < first) throw new Error(`invalid range specified for port: ${text}`);
  return { first, last };
}

function parsePort(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`);
  if (Number(text) > 65535)
    throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: value out of range`);
  return Number(text);
}
