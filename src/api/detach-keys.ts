/**
 * The keys that leave an attached container running. Pure: engine and client scan the same way.
 * @see https://docs.docker.com/reference/cli/docker/container/attach/#detach-keys
 */
import { DecodeError } from "./decode.ts";

/** ctrl-p, ctrl-q. */
export const DEFAULT_DETACH_KEYS: Uint8Array = Uint8Array.of(16, 17);

const CTRL_SYMBOLS: Readonly<Record<string, number>> = {
  "@": 0,
  "[": 27,
  "\\": 28,
  "]": 29,
  "^": 30,
  _: 31,
};

/**
 * `ctrl-x,y` → the bytes that a terminal sends for it.
 * @param text undefined and empty mean the default
 * @throws DecodeError
 */
export function parseDetachKeys(text: string | undefined): Uint8Array {
  if (text === undefined || text === "") return DEFAULT_DETACH_KEYS;
  return Uint8Array.from(text.split(","), (key) => {
    const code = codeOf(key);
    if (code === undefined) throw new DecodeError(`Invalid detach keys (${text}) provided`);
    return code;
  });
}

function codeOf(key: string): number | undefined {
  if (key === "DEL") return 127;
  if (key.length === 1) return key.charCodeAt(0) < 128 ? key.charCodeAt(0) : undefined;
  const control = /^ctrl-(.)$/.exec(key)?.[1];
  if (control === undefined) return undefined;
  // Docker knows the small letters only.
  if (/[a-z]/.test(control)) return control.charCodeAt(0) - 96;
  return CTRL_SYMBOLS[control];
}

/** Finds the keys in what somebody types, however the bytes are split, and holds back what may be their beginning. */
export class DetachScanner {
  readonly #keys: Uint8Array;
  #matched = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
  }

  /** What goes on to the program, and whether the keys were complete; what comes after them is dropped. */
  push(bytes: Uint8Array): { readonly pass: Uint8Array; readonly detached: boolean } {
    if (this.#keys.length === 0) return { pass: bytes, detached: false };
    const pass: number[] = [];
    for (const byte of bytes) {
      this.#step(byte, pass);
      if (this.#matched === this.#keys.length) return { pass: Uint8Array.from(pass), detached: true };
    }
    return { pass: pass.length === bytes.length ? bytes : Uint8Array.from(pass), detached: false };
  }

  /** The typing ended: what was held back belongs to the program after all. */
  flush(): Uint8Array {
    const held = this.#keys.slice(0, this.#matched);
    this.#matched = 0;
    return held;
  }

  /** After a mismatch, the longest end of what was held that may still begin the keys stays held. */
  #step(byte: number, pass: number[]): void {
    if (byte === this.#keys[this.#matched]) {
      this.#matched++;
      return;
    }
    const held = [...this.#keys.subarray(0, this.#matched), byte];
    let keep = this.#matched;
    while (keep > 0 && !this.#beginsWith(held.slice(held.length - keep))) keep--;
    for (const passed of held.slice(0, held.length - keep)) pass.push(passed);
    this.#matched = keep;
  }

  #beginsWith(bytes: readonly number[]): boolean {
    return bytes.every((byte, index) => byte === this.#keys[index]);
  }
}

/** Passes input through until the keys were typed; then calls `onDetach` and ends. */
export async function* untilDetached(
  input: AsyncIterable<Uint8Array>,
  keys: Uint8Array,
  onDetach: () => void,
): AsyncGenerator<Uint8Array, void, void> {
  const scanner = new DetachScanner(keys);
  for await (const bytes of input) {
    const { pass, detached } = scanner.push(bytes);
    if (pass.length > 0) yield pass;
    if (detached) {
      onDetach();
      return;
    }
  }
  const rest = scanner.flush();
  if (rest.length > 0) yield rest;
}
