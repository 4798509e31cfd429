/**
 * The audit log: one line of JSON before a call executes, one when it is over. A call that cannot be written down is not
 * executed, unless it only reads.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { messageOf, UnavailableError } from "../../core/errors.ts";
import type { Gate, GatedCall } from "./gate.ts";

export interface AuditLog extends Gate, Disposable {
  /** Goes on in a file of the same name: whoever rotates moves the old one away first. */
  reopen(): void;
}

/** @param path kept 0600, appended to. @throws SystemError-like errors of the file system */
export function openAuditLog(path: string): AuditLog {
  let fd = openSync(path, "a", 0o600);
  let last = 0;
  const numbers = new WeakMap<GatedCall, { readonly number: number; readonly began: number }>();
  const write = (record: object) => {
    // A record is one line whatever names and messages hold: JSON escapes their line ends.
    writeSync(fd, `${JSON.stringify({ time: new Date().toISOString(), ...record })}\n`);
  };
  return {
    enter(call) {
      const number = ++last;
      numbers.set(call, { number, began: performance.now() });
      try {
        write({ event: "call", call: number, ...describe(call) });
      } catch (error) {
        if (call.method === "GET" || call.method === "HEAD") return;
        throw new UnavailableError(`the audit log cannot be written: ${messageOf(error)}`, { cause: error });
      }
    },
    done(call, status) {
      const entered = numbers.get(call);
      if (!entered) return;
      const milliseconds = Math.round(performance.now() - entered.began);
      try {
        write({ event: "done", call: entered.number, status, milliseconds });
      } catch {
        // It is written that it began.
      }
    },
    reopen() {
      const next = openSync(path, "a", 0o600);
      closeSync(fd);
      fd = next;
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** Without the query: build arguments are secrets. */
function describe(call: GatedCall): object {
  const { address, certificateName, socket } = call.peer;
  return {
    socket,
    ...(address && { address }),
    ...(certificateName && { user: certificateName }),
    method: call.method,
    operation: call.operation,
    path: call.uri.replace(/\?.*$/s, ""),
  };
}
