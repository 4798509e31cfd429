/** Drivers that send a log elsewhere. */
import type { LogOptions, LogSink, LogSubject } from "../../../core/logs.ts";

export interface RemoteDriver {
  readonly name: string;
  /** @throws InvalidParameterError in dockerd's words */
  check(options: LogOptions): void;
  /** Connects when there is something to send, again and again: a dead server fails no start. */
  open(subject: LogSubject): LogSink;
}

export const REMOTE_DRIVERS: readonly RemoteDriver[] = [];
