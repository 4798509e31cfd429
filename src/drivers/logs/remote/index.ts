/** Drivers that send a log elsewhere. */
import { fluentdDriver } from "./fluentd.ts";
import { gelfDriver } from "./gelf.ts";
import { journaldDriver } from "./journald.ts";
import type { RemoteDriver } from "./remote-driver.ts";
import { syslogDriver } from "./syslog.ts";

export const REMOTE_DRIVERS: readonly RemoteDriver[] = [
  fluentdDriver,
  gelfDriver,
  journaldDriver(),
  syslogDriver,
];
