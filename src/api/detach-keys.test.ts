import { describe, expect, test } from "bun:test";
import { DEFAULT_DETACH_KEYS, DetachScanner, parseDetachKeys, untilDetached } from "./detach-keys.ts";

describe("detach keys", () => {
  test("are written as Docker's users write them", () => {
    expect([...parseDetachKeys("")]).toEqual([16, 17]);
    expect([...parseDetachKeys("ctrl-p,ctrl-q")]).toEqual([16, 17]);
    expect([...parseDetachKeys("ctrl-@,a,ctrl-[,DEL,ctrl-_")]).toEqual([0, 97, 27, 127, 31]);
    expect(() => parseDetachKeys("foo")).toThrow("Invalid detach keys (foo) provided");
    expect(() => parseDetachKeys("ctrl-p,,a")).toThrow("Invalid detach keys");
  });

  test("are found across chunks, and what came before passes", () => {
    const scanner = new DetachScanner(DEFAULT_DETACH_KEYS);
    expect(scanner.push(Uint8Array.of(97, 16))).toEqual({ pass: Uint8Array.of(97), detached: false });
    expect(scanner.push(Uint8Array.of(17, 98))).toEqual({ pass: Uint8Array.of(), detached: true });
  });

  test("a beginning that is none passes after all, in order", () => {
    const scanner = new DetachScanner(DEFAULT_DETACH_KEYS);
    scanner.push(Uint8Array.of(16));
    expect(scanner.push(Uint8Array.of(65))).toEqual({ pass: Uint8Array.of(16, 65), detached: false });
    expect(scanner.push(Uint8Array.of(16, 16, 17))).toEqual({ pass: Uint8Array.of(16), detached: true });
  });

  test("keys that repeat themselves are found at their first chance", () => {
    const scanner = new DetachScanner(parseDetachKeys("a,a,b"));
    expect(scanner.push(Buffer.from("aaab"))).toEqual({ pass: Uint8Array.of(97), detached: true });
  });

  test("input that ends in the middle of the keys is not lost", async () => {
    let detached = false;
    const typed = (async function* () {
      yield Uint8Array.of(65, 16);
    })();
    const seen: number[] = [];
    for await (const bytes of untilDetached(typed, DEFAULT_DETACH_KEYS, () => {
      detached = true;
    })) {
      seen.push(...bytes);
    }
    expect([seen, detached]).toEqual([[65, 16], false]);
  });
});
