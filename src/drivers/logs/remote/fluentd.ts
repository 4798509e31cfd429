/**
 * `fluentd`: the forward protocol in message mode, `[tag, time, record]` in MessagePack, over tcp, tls and local sockets.
 * Only strings, one number and a time are ever encoded. @see moby daemon/logger/fluentd, the Forward Protocol Specification
 */
import { InvalidParameterError } from "../../../core/errors.ts";
import type { LogRecord } from "../../../core/log-records.ts";
import type { LogOptions, LogSubject } from "../../../core/logs.ts";
import { toZulu } from "../json-lines.ts";
import { checkRemoteOptions, parseBool } from "../options.ts";
import { tagOf } from "../tag.ts";
import { parseAddress, type ServerAddress } from "./address.ts";
import type { RemoteDriver } from "./remote-driver.ts";
import { Sender, textOf } from "./sender.ts";
import { StreamTransport } from "./transport.ts";

/** What asks for what is so anyway: the spool waits for a server, and tries again until it is there. */
const WAITING = [
  ...["fluentd-async", "fluentd-async-connect", "fluentd-async-reconnect-interval", "fluentd-buffer-limit"],
  ...["fluentd-max-retries", "fluentd-retry-wait"],
];

export const fluentdDriver: RemoteDriver = {
  name: "fluentd",
  check(options) {
    const own = [
      "fluentd-address",
      "fluentd-sub-second-precision",
      "fluentd-request-ack",
      "fluentd-write-timeout",
    ];
    checkRemoteOptions("fluentd", options, [...own, ...WAITING]);
    addressOf(options);
    parseBool(options["fluentd-sub-second-precision"]);
    for (const key of ["fluentd-request-ack", "fluentd-write-timeout"]) {
      const value = options[key];
      if (value !== undefined && value !== "false" && value !== "0" && value !== "") {
        throw new InvalidParameterError(
          `log opt '${key}=${value}' is not supported by the fluentd log driver`,
        );
      }
    }
  },
  open(subject) {
    const address = addressOf(subject.options);
    const [what, transport] =
      "path" in address
        ? [`unix://${address.path}`, new StreamTransport({ path: address.path })]
        : [
            `${address.scheme}://${address.host}:${address.port}`,
            new StreamTransport({
              host: address.host,
              port: address.port,
              ...(address.scheme === "tls" && { tls: { servername: address.host } }),
            }),
          ];
    return new Sender(what, transport, toMessage(subject));
  },
};

function addressOf(options: LogOptions): ServerAddress {
  const text = options["fluentd-address"] || "tcp://127.0.0.1:24224";
  const rules = { option: "fluentd-address", schemes: ["tcp", "tls"], localSchemes: ["unix"], port: 24224 };
  return parseAddress(text.includes("://") ? text : `tcp://${text}`, rules);
}

function toMessage(subject: LogSubject): (record: LogRecord) => Uint8Array[] {
  const tag = packText(tagOf(subject, "{{.ID}}"));
  const precise = parseBool(subject.options["fluentd-sub-second-precision"]) ?? false;
  return (record) => {
    const fields: [string, string][] = [
      ["container_id", subject.id],
      ["container_name", `/${subject.name}`],
      ["source", record.stream],
      ["log", textOf(record)],
      ...Object.entries(subject.attributes),
      ...(record.partial ? ([["partial_message", "true"]] as [string, string][]) : []),
    ];
    const body = fields.flatMap(([key, value]) => [packText(key), packText(value)]);
    const header = Buffer.of(0xde, fields.length >> 8, fields.length & 0xff);
    return [Buffer.concat([Buffer.of(0x93), tag, packTime(record.timestamp, precise), header, ...body])];
  };
}

function packText(text: string): Buffer {
  const bytes = Buffer.from(text);
  const header = Buffer.alloc(5);
  header[0] = 0xdb;
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

/** Seconds, or fluentd's EventTime with nanoseconds. */
function packTime(timestamp: string, precise: boolean): Buffer {
  const time = toZulu(timestamp);
  const seconds = Math.floor(Date.parse(`${time.slice(0, 19)}Z`) / 1000);
  if (!precise) {
    const packed = Buffer.of(0xce, 0, 0, 0, 0);
    packed.writeUInt32BE(seconds, 1);
    return packed;
  }
  const packed = Buffer.alloc(10);
  packed.set([0xd7, 0x00]);
  packed.writeUInt32BE(seconds, 2);
  packed.writeUInt32BE(Number(time.slice(20, -1).padEnd(9, "0").slice(0, 9)), 6);
  return packed;
}
