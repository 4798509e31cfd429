/** `gelf`: Graylog's format over udp (compressed, in chunks) and tcp. @see moby daemon/logger/gelf, docs.graylog.org (GELF 1.1) */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { deflateSync, gzipSync } from "node:zlib";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { LogRecord } from "../../../core/log-records.ts";
import type { LogOptions, LogSubject } from "../../../core/logs.ts";
import { toZulu } from "../json-lines.ts";
import { checkRemoteOptions } from "../options.ts";
import { tagOf } from "../tag.ts";
import { parseAddress } from "./address.ts";
import type { RemoteDriver } from "./remote-driver.ts";
import { Sender, textOf } from "./sender.ts";
import { DatagramTransport, StreamTransport } from "./transport.ts";

const LEVEL = { stdout: 6, stderr: 3 } as const;
const CHUNK = 1420;
const MOST_CHUNKS = 128;

export const gelfDriver: RemoteDriver = {
  name: "gelf",
  check(options) {
    checkRemoteOptions("gelf", options, [
      ...["gelf-address", "gelf-compression-level", "gelf-compression-type"],
      ...["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"],
    ]);
    const { scheme } = addressOf(options);
    const udpOnly = ["gelf-compression-level", "gelf-compression-type"];
    const tcpOnly = ["gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay"];
    for (const key of scheme === "tcp" ? udpOnly : tcpOnly) {
      if (key in options) {
        throw new InvalidParameterError(`${key} is only supported on ${scheme === "tcp" ? "UDP" : "TCP"}`);
      }
    }
    if (!["gzip", "zlib", "none"].includes(options["gelf-compression-type"] ?? "gzip")) {
      throw new InvalidParameterError("gelf: invalid compression type");
    }
    const level = options["gelf-compression-level"] ?? "1";
    if (!/^(-1|[0-9])$/.test(level)) throw new InvalidParameterError("gelf: invalid compression level");
    for (const key of tcpOnly) {
      if (!/^\d+$/.test(options[key] ?? "1")) throw new InvalidParameterError(`gelf: invalid ${key}`);
    }
  },
  open(subject) {
    const { scheme, host, port } = addressOf(subject.options);
    const what = `${scheme}://${host}:${port}`;
    const document = toDocument(subject);
    if (scheme === "tcp") {
      const encode = (record: LogRecord): Uint8Array[] => [Buffer.from(`${document(record)}\0`)];
      return new Sender(what, new StreamTransport({ host, port }), encode);
    }
    const compress = compressorOf(subject.options);
    return new Sender(what, new DatagramTransport(host, port), (record) =>
      chunked(compress(Buffer.from(document(record)))),
    );
  },
};

function addressOf(options: LogOptions): { scheme: string; host: string; port: number } {
  const text = options["gelf-address"];
  if (!text) throw new InvalidParameterError("gelf-address is a required parameter");
  const address = parseAddress(text, { option: "gelf-address", schemes: ["udp", "tcp"] });
  if ("path" in address) throw new InvalidParameterError(`invalid gelf-address: ${text}`);
  return address;
}

function toDocument(subject: LogSubject): (record: LogRecord) => string {
  const extra = Object.fromEntries(
    Object.entries(subject.attributes).map(([key, value]) => [`_${key.replace(/[^\w.-]/g, "_")}`, value]),
  );
  const common = {
    _command: subject.command.join(" "),
    _container_id: subject.id,
    _container_name: subject.name,
    _created: subject.created,
    _image_id: subject.imageId,
    _image_name: subject.image,
    _tag: tagOf(subject, "{{.ID}}"),
    ...extra,
  };
  const host = hostname();
  return (record) =>
    JSON.stringify({
      version: "1.1",
      host,
      short_message: textOf(record),
      timestamp: Date.parse(`${toZulu(record.timestamp).slice(0, 23)}Z`) / 1000,
      level: LEVEL[record.stream],
      ...common,
    });
}

function compressorOf(options: LogOptions): (bytes: Buffer) => Buffer {
  const level = Number(options["gelf-compression-level"] ?? 1);
  const type = options["gelf-compression-type"] ?? "gzip";
  if (type === "none") return (bytes) => bytes;
  return (bytes) => (type === "zlib" ? deflateSync(bytes, { level }) : gzipSync(bytes, { level }));
}

/** What is too long for a packet goes in several; what is too long for those is dropped, as Graylog's protocol has it. */
function chunked(bytes: Buffer): Buffer[] {
  if (bytes.length <= CHUNK) return [bytes];
  const size = CHUNK - 12;
  const count = Math.ceil(bytes.length / size);
  if (count > MOST_CHUNKS) return [];
  const id = randomBytes(8);
  return Array.from({ length: count }, (_, index) =>
    Buffer.concat([
      Buffer.of(0x1e, 0x0f),
      id,
      Buffer.of(index, count),
      bytes.subarray(index * size, (index + 1) * size),
    ]),
  );
}
