/** Port: reading what a container wrote. Writing is the monitor's: it goes on while the daemon is down. */

export interface LogEntry {
  readonly stream: "stdout" | "stderr";
  /** RFC 3339 with nanoseconds, UTC, as it is shown with `--timestamps`. */
  readonly timestamp: string;
  /** The bytes as written, with the final newline if there was one; a long line may come in parts. */
  readonly bytes: Uint8Array;
  /** True for all parts of a line but the last. */
  readonly partial: boolean;
}

export interface ReadLogOptions {
  /** Nanoseconds since the epoch. */
  readonly since?: bigint;
  readonly until?: bigint;
  /** Lines from the end; undefined is all. */
  readonly tail?: number;
  readonly follow: boolean;
  /** Settles when the container ended: a follower then reads to the end and stops. */
  readonly ended?: Promise<unknown>;
  readonly signal: AbortSignal;
}

/** When a log file is put aside, and how many files there are then at most, the current one included. */
export interface LogRotation {
  /** Bytes. */
  readonly maxSize: number;
  readonly maxFiles: number;
}

export interface LogDriver {
  /** `json-file`, `local`, `none`, … */
  readonly name: string;
  /** Where the monitor appends for this container, or undefined if nothing is kept. */
  pathFor(containerId: string): string | undefined;
  /** @throws InvalidParameterError in dockerd's words for an option that is unknown or makes no sense */
  checkOptions(options: Readonly<Record<string, string>>): void;
  /** Undefined: the file grows without bound, as Docker's json-file does unless told otherwise. */
  rotationFor(options: Readonly<Record<string, string>>): LogRotation | undefined;
  /** Before a monitor writes: ends a line that a crash or a full disk tore, so that it does not swallow the next one. */
  mend(containerId: string): void;
  /** Memory is bounded however slow the reader is. A torn record at the end is skipped. @throws NotImplementedError if unreadable */
  read(containerId: string, options: ReadLogOptions): AsyncIterable<LogEntry>;
  remove(containerId: string): Promise<void>;
}
