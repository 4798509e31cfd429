/** Finds the end of a request's head in what arrives. Each byte is looked at once, however it is cut into pieces. */
import { Accumulator } from "./accumulator.ts";
import { ProtocolError } from "./errors.ts";

const CR = 13;
const LF = 10;

export class HeadReader {
  readonly #bytes = new Accumulator();
  readonly #maxLength: number;
  /** How far lines have been looked at. */
  #seen = 0;
  /** Where the present line began. */
  #lineStart = 0;

  /** @param maxLength bytes of request line and headers */
  constructor(maxLength: number) {
    this.#maxLength = maxLength;
  }

  /** Something of a head is there. */
  get begun(): boolean {
    return this.#bytes.length > 0;
  }

  /**
   * The head without its empty line, and what came behind it; undefined while it is not complete.
   * @throws ProtocolError if this can be no head any more
   */
  push(piece: Buffer): { readonly head: Buffer; readonly rest: Buffer } | undefined {
    this.#bytes.push(piece);
    this.#skipEmptyLines();
    const { bytes } = this.#bytes;
    rejectEarly(bytes);
    for (let feed = bytes.indexOf(LF, this.#seen); feed >= 0; feed = bytes.indexOf(LF, feed + 1)) {
      if (bytes[feed - 1] !== CR) throw new ProtocolError(400, "a line ends without a carriage return");
      if (feed - 1 === this.#lineStart) {
        if (this.#lineStart > this.#maxLength) throw tooLarge();
        return { head: bytes.subarray(0, this.#lineStart - 2), rest: bytes.subarray(feed + 1) };
      }
      this.#lineStart = feed + 1;
    }
    this.#seen = bytes.length;
    if (bytes.length > this.#maxLength) throw tooLarge();
    return undefined;
  }

  /** They are tolerated before a request (RFC 9112, 2.2). */
  #skipEmptyLines(): void {
    if (this.#seen > 1) return;
    const { bytes } = this.#bytes;
    let start = 0;
    while (bytes[start] === CR && bytes[start + 1] === LF) start += 2;
    this.#bytes.drop(start);
    if (start > 0) this.#seen = 0;
  }
}

function tooLarge(): ProtocolError {
  return new ProtocolError(431, "request header too large");
}

/** A client that speaks something else (TLS on a plain port) is told at once, not after the time limit. */
function rejectEarly(bytes: Buffer): void {
  const first = bytes[0];
  if (first === undefined || (first >= 65 && first <= 90)) return;
  if (first === CR && bytes.length === 1) return;
  throw new ProtocolError(400, first === 22 ? "Client sent an HTTPS request to an HTTP server." : "not HTTP");
}
