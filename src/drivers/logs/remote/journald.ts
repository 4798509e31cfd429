/** `journald`: fields of a journal entry over its native protocol. @see moby daemon/logger/journald, systemd.io/JOURNAL_NATIVE_PROTOCOL */
import { existsSync } from "node:fs";
import { InvalidParameterError } from "../../../core/errors.ts";
import type { LogRecord } from "../../../core/log-records.ts";
import type { LogSubject } from "../../../core/logs.ts";
import { toZulu } from "../json-lines.ts";
import { checkRemoteOptions } from "../options.ts";
import { tagOf } from "../tag.ts";
import type { RemoteDriver } from "./remote-driver.ts";
import { Sender, textOf } from "./sender.ts";
import { LocalTransport } from "./transport.ts";

const SOCKET = "/run/systemd/journal/socket";
const PRIORITY = { stdout: 6, stderr: 3 } as const;

/** @param socket of the journal */
export function journaldDriver(socket = SOCKET): RemoteDriver {
  return {
    name: "journald",
    check(options) {
      checkRemoteOptions("journald", options, []);
      if (!existsSync(socket)) throw new InvalidParameterError("journald is not enabled on this host");
    },
    open: (subject) => new Sender("journald", new LocalTransport(socket), toEntry(subject)),
  };
}

function toEntry(subject: LogSubject): (record: LogRecord) => Uint8Array[] {
  const tag = tagOf(subject, "{{.ID}}");
  const common = {
    CONTAINER_ID: subject.id.slice(0, 12),
    CONTAINER_ID_FULL: subject.id,
    CONTAINER_NAME: subject.name,
    CONTAINER_TAG: tag,
    IMAGE_NAME: subject.image,
    SYSLOG_IDENTIFIER: tag,
    ...Object.fromEntries(Object.entries(subject.attributes).map(([key, value]) => [fieldName(key), value])),
  };
  return (record) => {
    const fields = {
      MESSAGE: textOf(record),
      PRIORITY: String(PRIORITY[record.stream]),
      SYSLOG_TIMESTAMP: toZulu(record.timestamp),
      ...common,
      ...(record.partial && { CONTAINER_PARTIAL_MESSAGE: "true" }),
    };
    return [Buffer.concat(Object.entries(fields).map(([name, value]) => packField(name, value)))];
  };
}

/** Upper case letters, digits and underscores, not beginning with one of those. */
function fieldName(key: string): string {
  return key
    .toUpperCase()
    .replace(/[^A-Z0-9_]/g, "_")
    .replace(/^[_0-9]+/, "");
}

/** What has a newline in it comes with its length. */
function packField(name: string, value: string): Buffer {
  if (!value.includes("\n")) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from("\n")]);
}
