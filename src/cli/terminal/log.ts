/** Notes of the client itself, in the form of Docker's (logrus). */
import type { Output } from "./output.ts";

export function logError(stderr: Output, message: string): void {
  if (stderr.isTerminal) {
    stderr.line(`\x1b[31mERRO\x1b[0m[0000] ${message} `);
    return;
  }
  const time = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  stderr.line(`time=${JSON.stringify(time)} level=error msg=${JSON.stringify(message)}`);
}
