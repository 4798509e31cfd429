/** How far a copy is, on one line of a terminal. */

import type { Output } from "../terminal/output.ts";
import { humanSize } from "../values/units.ts";

const INTERVAL = 75;

export class CopyProgress {
  /** Bytes so far. */
  size = 0;
  readonly #output: Output;
  readonly #header: string;
  #last = 0;
  #shown = false;

  constructor(output: Output, header: "Copying to container - " | "Copying from container - ") {
    this.#output = output;
    this.#header = header;
  }

  /** Counts what passes. */
  async *watch(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#show("Preparing to copy...");
    for await (const bytes of content) {
      this.size += bytes.byteLength;
      const now = performance.now();
      if (now - this.#last >= INTERVAL) this.#show(this.#header + humanSize(this.size, 3));
      yield bytes;
    }
  }

  #show(text: string): void {
    this.#last = performance.now();
    this.#shown = true;
    this.#output.write(`\r\x1b[2K${text}`);
  }

  /** Takes the line away. */
  end(): void {
    if (this.#shown) this.#output.write("\r\x1b[2K");
  }

  done(where: string): void {
    this.end();
    this.#output.line(`Successfully copied ${humanSize(this.size, 3)} to ${where}`);
  }
}
