/** A monitor's `ctl` fifo: lines of up to 200 bytes. A monitor that is gone is no error. */
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { hasCode } from "../../base/error-codes.ts";
import type { TerminalSize } from "../../core/runtime.ts";

/** In cells; beyond what the monitor takes they are cut to that. */
export function resizeTerminal(fifo: string, { height, width }: TerminalSize): void {
  writeLine(fifo, `1 ${clamp(height)} ${clamp(width)}\n`);
}

/** conmon takes 0 to 1000. */
function clamp(cells: number): number {
  return Math.max(0, Math.min(1000, Math.trunc(cells)));
}

function writeLine(path: string, line: string): void {
  let fifo: number;
  try {
    fifo = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, "ENXIO", "ENOENT")) return;
    throw error;
  }
  try {
    writeSync(fifo, line);
  } finally {
    closeSync(fifo);
  }
}
