/** The log drivers by name: what each may be asked for, where it keeps a file, and who consumes a spool for it. */
import { join } from "node:path";
import type { LogOptions, LogSubject } from "../../core/logs.ts";
import { FileSink } from "./file-sink.ts";
import { bufferOf, cacheRotationOf, checkFileOptions, rotationOf } from "./options.ts";
import { REMOTE_DRIVERS } from "./remote/index.ts";
import type { ConsumerOptions } from "./spool.ts";
import { tagOf } from "./tag.ts";

export interface DriverDefinition {
  readonly name: string;
  /** @throws InvalidParameterError */
  check(options: LogOptions): void;
  /** The file that can be read back, below the container's directory; undefined if there is none. */
  file(subject: Pick<LogSubject, "id"> & Partial<Pick<LogSubject, "options">>): string | undefined;
  /** Inspect tells its path: it is in Docker's own form. */
  readonly told?: boolean;
  /** Empty: nothing is kept, and there is no spool. @throws InvalidParameterError */
  consumers(subject: LogSubject, directory: string): ConsumerOptions[];
}

/** The consumer that writes what can be read back. */
export const READABLE = "file";

function fileDriver(name: "json-file" | "local", file: (id: string) => string): DriverDefinition {
  return {
    name,
    check: (options) => checkFileOptions(name, options),
    file: ({ id }) => file(id),
    told: name === "json-file",
    consumers: (subject, directory) => [
      {
        name: READABLE,
        open: (mark) =>
          new FileSink({
            path: join(directory, file(subject.id)),
            rotation: rotationOf(name, subject.options),
            attributes: name === "json-file" ? withTag(subject) : {},
            mark,
          }),
      },
    ],
  };
}

/** Docker's json-file has the tag only if one was asked for. */
export function withTag(subject: LogSubject): Record<string, string> {
  const tag = tagOf(subject, "");
  const attributes: Record<string, string> = { ...subject.attributes, ...(tag !== "" && { tag }) };
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}

const none: DriverDefinition = { name: "none", check() {}, file: () => undefined, consumers: () => [] };

const CACHE = "container-cached.log";

const remote = REMOTE_DRIVERS.map(
  (driver): DriverDefinition => ({
    name: driver.name,
    check: (options) => driver.check(options),
    file: ({ options }) => (cacheRotationOf(options ?? {}) ? CACHE : undefined),
    consumers: (subject, directory) => {
      const rotation = cacheRotationOf(subject.options);
      const cache: ConsumerOptions = {
        name: READABLE,
        open: (mark) => new FileSink({ path: join(directory, CACHE), rotation, attributes: {}, mark }),
      };
      const sender: ConsumerOptions = {
        name: driver.name,
        open: () => driver.open(subject),
        skipBeyond: bufferOf(subject.options),
      };
      return rotation ? [cache, sender] : [sender];
    },
  }),
);

export const LOG_DRIVERS: ReadonlyMap<string, DriverDefinition> = new Map(
  [
    fileDriver("json-file", (id) => `${id}-json.log`),
    fileDriver("local", () => join("local-logs", "container.log")),
    none,
    ...remote,
  ].map((driver) => [driver.name, driver]),
);
