/**
 * Port: a container's log. The monitor writes all output to a *spool*, whatever the driver: that goes on while the
 * daemon is down. From there the daemon takes it to where the driver keeps it, each record once, and lets go of what
 * every consumer and every attached client has read.
 */
import type { LogRecord } from "./log-records.ts";

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
  readonly signal: AbortSignal;
}

export type LogOptions = Readonly<Record<string, string>>;

/** Whose log it is: what drivers say of the container to others. */
export interface LogSubject {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly imageId: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly created: string;
  /** `json-file`, `local`, `none`, `syslog`, … */
  readonly driver: string;
  readonly options: LogOptions;
  /** Labels and variables that the options choose, ordered by name. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** The process whose output it is, under its monitor. */
export interface LogProducer {
  /** Settles when the process has ended and its monitor has written all. */
  readonly ended: Promise<unknown>;
  /** Makes the monitor write no more for a while: then the process waits. */
  hold(held: boolean): void;
  /** Byte of the spool up to which all attached clients have read; undefined if there are none. */
  readTo(): number | undefined;
}

export interface PreparedLog extends Disposable {
  /** The file that the monitor appends to, or undefined if nothing is kept. */
  readonly path: string | undefined;
}

export interface ContainerLogs {
  /** Names of the drivers that there are. */
  readonly drivers: readonly string[];
  /** @throws InvalidParameterError in dockerd's words for a driver or option that is unknown or makes no sense */
  check(driver: string, options: LogOptions): void;
  /** Inspect's `LogPath`; empty if there is no file for others to read. */
  pathOf(subject: Pick<LogSubject, "id" | "driver">): string;
  /** What is shown of each line with `--details`. */
  attributesOf(subject: LogSubject): Readonly<Record<string, string>>;
  /** Before a monitor is started. Disposed of once it is followed, or the start failed. */
  prepare(subject: LogSubject): PreparedLog;
  /** The monitor runs: takes its output on from the spool until it has ended and all was taken. @throws InvalidParameterError */
  follow(subject: LogSubject, producer: LogProducer): void;
  /** Boot: what a container that ended has left in its spool is taken on. */
  settle(subject: LogSubject): void;
  /** Memory is bounded however slow the reader is. Following ends with the process. @throws NotImplementedError if it cannot be read */
  read(subject: LogSubject, options: ReadLogOptions): AsyncIterable<LogEntry>;
  /** Forgets what was written up to now. @throws NotImplementedError if nothing is kept here */
  clear(subject: LogSubject): Promise<void>;
  remove(containerId: string): Promise<void>;
}

/** Where records go. One consumer of a spool writes to it, one batch after the other. */
export interface LogSink {
  /** Settles when all are taken; until then nothing more is taken from the spool. @throws what cannot be mended by waiting */
  write(records: readonly LogRecord[]): Promise<void>;
  /** Told again at the next `open`: what was written after it is written again. */
  readonly mark: number;
  close(): Promise<void>;
}
