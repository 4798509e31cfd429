/** Checks of single flag values, with Docker's messages. Pure. */
import { isIP } from "node:net";
import { cut, parseInteger } from "../flags/flags.ts";
import { goQuote } from "../values/go-text.ts";
import { parseBytes } from "../values/units.ts";

export function checkAddress(text: string): string {
  const address = text.trim();
  if (isIP(address) === 0) throw new Error(`IP address is not correctly formatted: ${text}`);
  return toCanonicalAddress(address);
}

/** As Go's net.IP prints it. */
function toCanonicalAddress(address: string): string {
  if (isIP(address) === 4) return address;
  const mapped = /^(?:0*:){1,5}:?(?:0*:)*ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped ?? new URL(`http://[${address}]`).hostname.slice(1, -1);
}

/** `host:ip` or `host=ip`; what the engine gets has the colon. */
export function checkExtraHost(text: string): string {
  const separator = text.includes("=") ? "=" : ":";
  const [host, given] = cut(text, separator);
  if (given === undefined || host === "" || host.includes(":")) {
    throw new Error(`bad format for add-host: ${goQuote(text)}`);
  }
  const address = /^\[(.+)\]$/.exec(given)?.[1] ?? given;
  if (address !== "host-gateway" && isIP(address.trim()) === 0) {
    throw new Error(`invalid IP address in add-host: ${goQuote(address)}`);
  }
  return `${host}:${address}`;
}

export function checkDnsSearch(text: string): string {
  const domain = text.replace(/^ +| +$/g, "");
  if (domain === ".") return domain;
  const match =
    /^(:?(:?[a-zA-Z0-9]|(:?[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))(:?\.(:?[a-zA-Z0-9]|(:?[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])))*)\.?\s*$/.exec(
      domain,
    );
  if (!/[a-zA-Z]/.test(domain) || match?.[1] === undefined || match[1].length >= 255) {
    throw new Error(`${domain} is not a valid domain`);
  }
  return match[1];
}

const sysctls = new Set(
  "msgmax msgmnb msgmni sem shmall shmmax shmmni shm_rmid_forced".split(" ").map((name) => `kernel.${name}`),
);

export function checkSysctl(text: string): string {
  const [name, value] = cut(text, "=");
  const known = sysctls.has(name) || name.startsWith("net.") || name.startsWith("fs.mqueue.");
  if (value === undefined || !known) throw new Error(`sysctl '${text}' is not allowed`);
  return text;
}

export function checkLink(text: string): string {
  if (text === "") throw new Error("empty string specified for links");
  if (text.split(":").length > 2) throw new Error(`bad format for links: ${text}`);
  return text;
}

export function checkDeviceCgroupRule(text: string): string {
  if (!/^[acb] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$/.test(text)) {
    throw new Error(`invalid device cgroup format '${text}'`);
  }
  return text;
}

export function checkAttach(text: string): string {
  const stream = text.toLowerCase();
  if (!["stdin", "stdout", "stderr"].includes(stream)) {
    throw new Error("valid streams are STDIN, STDOUT and STDERR");
  }
  return stream;
}

export function checkMac(text: string): string {
  if (!/^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$|^([0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4}$/.test(text.trim())) {
    throw new Error(`${text} is not a valid mac address`);
  }
  return text;
}

export interface Ulimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

const ulimits = new Set(
  "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split(
    " ",
  ),
);

/** `nofile=1024:2048`. */
export function parseUlimit(text: string): Ulimit {
  const [name, limits] = cut(text, "=");
  if (limits === undefined) throw new Error(`invalid ulimit argument: ${text}`);
  if (!ulimits.has(name)) throw new Error(`invalid ulimit type: ${name}`);
  const parts = limits.split(":");
  if (parts.length > 2) {
    throw new Error(`too many limit value arguments - ${limits}, can only have up to two, \`soft[:hard]\``);
  }
  const hardText = parts[1] ?? (parts[0] as string);
  const hard = decimal(hardText);
  const soft = decimal(parts[0] as string);
  if (hard !== -1 && soft === -1) {
    throw new Error(
      `ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: ${hard}`,
    );
  }
  if (hard !== -1 && soft > hard) {
    throw new Error(`ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`);
  }
  return { Name: name, Soft: soft, Hard: hard };
}

function decimal(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new Error(`strconv.ParseInt: parsing ${goQuote(text)}: invalid syntax`);
  return parseInteger(text.replace(/^([+-]?)0+(?=\d)/, "$1"), { bits: 64, unsigned: false });
}

/** A rational number of CPUs in billionths. */
export function parseCpus(text: string): number {
  const match = /^([+-]?)(0[xX][0-9a-fA-F]+|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?:\/(\d+))?$/.exec(
    text,
  );
  if (!match) throw new Error(`failed to parse ${text} as a rational number`);
  const nano = ((match[1] === "-" ? -1e9 : 1e9) * Number(match[2])) / Number(match[3] ?? 1);
  const rounded = Math.round(nano);
  if (Math.abs(nano - rounded) > 1e-3) throw new Error("value is too precise");
  return rounded;
}

export interface DeviceRate {
  readonly Path: string;
  readonly Rate: number;
}

export function parseBytesRate(text: string): DeviceRate {
  const { device, value } = splitDevice(text);
  try {
    return { Path: device, Rate: parseBytes(value) };
  } catch {
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb`,
    );
  }
}

export function parseOperationsRate(text: string): DeviceRate {
  const { device, value } = splitDevice(text);
  if (!/^\d+$/.test(value)) {
    throw new Error(
      `invalid rate for device: ${text}. The correct format is <device-path>:<number>. Number must be a positive integer`,
    );
  }
  return { Path: device, Rate: Number(value) };
}

export function parseDeviceWeight(text: string): { readonly Path: string; readonly Weight: number } {
  const { device, value } = splitDevice(text);
  const weight = Number(value);
  if (!/^\d+$/.test(value) || weight > 65535 || (weight > 0 && (weight < 10 || weight > 1000))) {
    throw new Error(`invalid weight for device: ${text}`);
  }
  return { Path: device, Weight: weight };
}

function splitDevice(text: string): { device: string; value: string } {
  const [device, value] = cut(text, ":");
  if (value === undefined || device === "") throw new Error(`bad format: ${text}`);
  if (!device.startsWith("/dev/")) throw new Error(`bad format for device path: ${text}`);
  return { device, value };
}
