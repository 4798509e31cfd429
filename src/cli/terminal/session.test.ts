import { describe, expect, test } from "bun:test";
import { DetachFilter, parseDetachKeys } from "./session.ts";

describe("detach keys", () => {
  test("are read by name", () => {
    expect(parseDetachKeys("")).toEqual([16, 17]);
    expect(parseDetachKeys("ctrl-a,x,ctrl-[")).toEqual([1, 120, 27]);
    expect(parseDetachKeys("nonsense")).toEqual([16, 17]);
  });

  test("detach, also when they come one by one", () => {
    const filter = new DetachFilter([16, 17]);
    expect(filter.pass(Uint8Array.of(97, 16))).toEqual({ send: Uint8Array.of(97), detached: false });
    expect(filter.pass(Uint8Array.of(17))).toEqual({ send: new Uint8Array(), detached: true });
  });

  test("that are not completed go to the process", () => {
    const filter = new DetachFilter([16, 17]);
    filter.pass(Uint8Array.of(16));
    expect(filter.pass(Uint8Array.of(98))).toEqual({ send: Uint8Array.of(16, 98), detached: false });
  });
});
