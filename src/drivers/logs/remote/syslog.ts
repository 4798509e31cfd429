/** `syslog`: udp, tcp, tcp+tls and local sockets; RFC 3164 and 5424. @see moby daemon/logger/syslog */
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { LogRecord } from "../../../core/log-records.ts";
import type { LogOptions, LogSubject } from "../../../core/logs.ts";
import { toZulu } from "../json-lines.ts";
import { checkRemoteOptions } from "../options.ts";
import { tagOf } from "../tag.ts";
import { parseAddress, type ServerAddress } from "./address.ts";
import type { RemoteDriver } from "./remote-driver.ts";
import { Sender, textOf } from "./sender.ts";
import { DatagramTransport, LocalTransport, StreamTransport, type Transport } from "./transport.ts";

const FACILITIES =
  "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp 12 13 14 15 local0 local1 local2 local3 local4 local5 local6 local7".split(
    " ",
  );
const FORMATS = ["", "rfc3164", "rfc5424", "rfc5424micro"];
const SEVERITY = { stdout: 6, stderr: 3 } as const;
const LOCAL = ["/dev/log", "/var/run/syslog", "/var/run/log"];
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

export const syslogDriver: RemoteDriver = {
  name: "syslog",
  check(options) {
    checkRemoteOptions("syslog", options, [
      ...["syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert", "syslog-tls-cert"],
      ...["syslog-tls-key", "syslog-tls-skip-verify"],
    ]);
    addressOf(options);
    facilityOf(options);
    if (!FORMATS.includes(options["syslog-format"] ?? "")) {
      throw new InvalidParameterError("Invalid syslog format");
    }
  },
  open(subject) {
    const address = addressOf(subject.options);
    const what =
      address && "host" in address ? `${address.scheme}://${address.host}:${address.port}` : "syslog";
    return new Sender(what, transportTo(address, subject.options), toMessage(subject, address));
  },
};

/** Undefined: the host's own. */
function addressOf(options: LogOptions): ServerAddress | undefined {
  const text = options["syslog-address"];
  if (!text) return undefined;
  return parseAddress(text, {
    option: "syslog-address",
    schemes: ["udp", "tcp", "tcp+tls"],
    localSchemes: ["unix", "unixgram"],
    port: 514,
  });
}

function facilityOf(options: LogOptions): number {
  const name = options["syslog-facility"] || "daemon";
  const number = /^\d+$/.test(name) ? Number(name) : FACILITIES.indexOf(name);
  if (number < 0 || number > 23) throw new InvalidParameterError("invalid syslog facility");
  return number;
}

function transportTo(address: ServerAddress | undefined, options: LogOptions): Transport {
  if (address === undefined) return new LocalTransport(LOCAL.find((path) => existsSync(path)) ?? "/dev/log");
  if ("path" in address) {
    return address.scheme === "unixgram"
      ? new LocalTransport(address.path)
      : new StreamTransport({ path: address.path });
  }
  const { host, port, scheme } = address;
  if (scheme === "udp") return new DatagramTransport(host, port);
  return new StreamTransport({ host, port, ...(scheme === "tcp+tls" && { tls: tlsOf(options, host) }) });
}

function tlsOf(options: LogOptions, host: string): object {
  const file = (name: string): Buffer | undefined => {
    const path = options[name];
    return path ? readFileSync(path) : undefined;
  };
  return {
    servername: host,
    ca: file("syslog-tls-ca-cert"),
    cert: file("syslog-tls-cert"),
    key: file("syslog-tls-key"),
    rejectUnauthorized: !options["syslog-tls-skip-verify"],
  };
}

function toMessage(
  subject: LogSubject,
  address: ServerAddress | undefined,
): (record: LogRecord) => Uint8Array[] {
  const tag = tagOf(subject, "{{.ID}}");
  const host = hostname();
  const facility = facilityOf(subject.options) * 8;
  const format = subject.options["syslog-format"] ?? "";
  const local = address === undefined;
  // RFC 5425: over TLS a message says how long it is.
  const counted = format.startsWith("rfc5424") && address?.scheme === "tcp+tls";
  return (record) => {
    const priority = facility + SEVERITY[record.stream];
    const time = toZulu(record.timestamp);
    const line = `${textOf(record)}\n`;
    const { pid } = process;
    const text = format.startsWith("rfc5424")
      ? `<${priority}>1 ${format === "rfc5424micro" ? withMicroseconds(time) : seconds(time)} ${host} ${tag} ${pid} ${tag} - ${line}`
      : format === "rfc3164"
        ? `<${priority}>${stamp(time)} ${host} ${tag}[${pid}]: ${line}`
        : local
          ? `<${priority}>${stamp(time)} ${tag}[${pid}]: ${line}`
          : `<${priority}> ${seconds(time)} ${host} ${tag}[${pid}]: ${line}`;
    const bytes = Buffer.from(text);
    return [counted ? Buffer.concat([Buffer.from(`${bytes.length} `), bytes]) : bytes];
  };
}

function seconds(time: string): string {
  return `${time.slice(0, 19)}Z`;
}

function withMicroseconds(time: string): string {
  return `${time.slice(0, 19)}.${time.slice(20, -1).padEnd(6, "0").slice(0, 6)}Z`;
}

/** Go's time.Stamp, of the host's zone: `Nov 27 21:04:05`. */
function stamp(time: string): string {
  const at = new Date(`${time.slice(0, 19)}Z`);
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) =>
    String(part).padStart(2, "0"),
  );
  return `${MONTHS[at.getMonth()]} ${String(at.getDate()).padStart(2, " ")} ${clock.join(":")}`;
}
