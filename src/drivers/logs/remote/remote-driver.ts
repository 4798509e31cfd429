import type { LogOptions, LogSink, LogSubject } from "../../../core/logs.ts";

/** A driver that sends a log elsewhere. */
export interface RemoteDriver {
  readonly name: string;
  /** @throws InvalidParameterError in dockerd's words */
  check(options: LogOptions): void;
  /** Connects when there is something to send, again and again: a dead server fails no start. */
  open(subject: LogSubject): LogSink;
}
