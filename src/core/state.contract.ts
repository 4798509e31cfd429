/** What every driver of the state port must do. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StateStore } from "./state.ts";

interface Noun {
  readonly name: string;
  readonly count?: number;
}

/** `open` gives the store that is kept in a directory; opening it again gives what was written. */
export function stateStoreContract(driver: string, open: (directory: string) => StateStore): void {
  describe(`state store: ${driver}`, () => {
    let directory: string;
    let store: StateStore;

    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), "gantry-state-"));
      store = open(directory);
    });

    afterEach(() => {
      store[Symbol.dispose]();
      rmSync(directory, { recursive: true, force: true });
    });

    function reopen(): void {
      store[Symbol.dispose]();
      store = open(directory);
    }

    test("gives back what was put, and undefined for what was not", () => {
      const nouns = store.table<Noun>("nouns");
      nouns.put("a", { name: "é\n\"'", count: 2 ** 53 - 1 });
      expect(nouns.get("a")).toEqual({ name: "é\n\"'", count: 2 ** 53 - 1 });
      expect(nouns.get("b")).toBeUndefined();
    });

    test("put replaces", () => {
      const nouns = store.table<Noun>("nouns");
      nouns.put("a", { name: "one" });
      nouns.put("a", { name: "two" });
      expect(nouns.entries()).toEqual([["a", { name: "two" }]]);
    });

    test("delete says whether there was something", () => {
      const nouns = store.table<Noun>("nouns");
      nouns.put("a", { name: "one" });
      expect(nouns.delete("a")).toBe(true);
      expect(nouns.delete("a")).toBe(false);
      expect(nouns.get("a")).toBeUndefined();
    });

    test("entries are ordered by key", () => {
      const nouns = store.table<Noun>("nouns");
      for (const key of ["b", "c", "a"]) nouns.put(key, { name: key });
      expect(nouns.entries().map(([key]) => key)).toEqual(["a", "b", "c"]);
    });

    test("tables are apart, and two handles of one name are the same table", () => {
      store.table<Noun>("nouns").put("a", { name: "noun" });
      expect(store.table<Noun>("verbs").get("a")).toBeUndefined();
      expect(store.table<Noun>("nouns").get("a")).toEqual({ name: "noun" });
    });

    test("what was written is there after opening again", () => {
      store.table<Noun>("nouns").put("a", { name: "kept" });
      reopen();
      expect(store.table<Noun>("nouns").get("a")).toEqual({ name: "kept" });
    });

    test("a transaction that throws writes nothing, and the error passes through", () => {
      const nouns = store.table<Noun>("nouns");
      nouns.put("a", { name: "before" });
      const failure = new Error("no");
      expect(() =>
        store.transaction(() => {
          nouns.put("a", { name: "after" });
          nouns.put("b", { name: "after" });
          throw failure;
        }),
      ).toThrow(failure);
      reopen();
      expect(store.table<Noun>("nouns").entries()).toEqual([["a", { name: "before" }]]);
    });

    test("a transaction returns what its work returns, and reads its own writes", () => {
      const nouns = store.table<Noun>("nouns");
      const seen = store.transaction(() => {
        nouns.put("a", { name: "inside" });
        return nouns.get("a")?.name;
      });
      expect(seen).toBe("inside");
    });

    test("a nested transaction joins: the outer one's failure takes it back", () => {
      const nouns = store.table<Noun>("nouns");
      expect(() =>
        store.transaction(() => {
          store.transaction(() => nouns.put("inner", { name: "x" }));
          throw new Error("outer");
        }),
      ).toThrow("outer");
      expect(nouns.entries()).toEqual([]);
    });

    test("a nested transaction that fails and is caught takes only itself back", () => {
      const nouns = store.table<Noun>("nouns");
      store.transaction(() => {
        nouns.put("outer", { name: "x" });
        expect(() =>
          store.transaction(() => {
            nouns.put("inner", { name: "x" });
            throw new Error("inner");
          }),
        ).toThrow("inner");
      });
      expect(nouns.entries().map(([key]) => key)).toEqual(["outer"]);
    });

    test("work that returns a promise is refused and writes nothing", () => {
      const nouns = store.table<Noun>("nouns");
      expect(() => store.transaction(async () => nouns.put("a", { name: "x" }))).toThrow(TypeError);
      expect(nouns.entries()).toEqual([]);
    });

    test("a table that was first named in a transaction that failed can be used afterwards", () => {
      expect(() =>
        store.transaction(() => {
          store.table<Noun>("late");
          throw new Error("no");
        }),
      ).toThrow("no");
      store.table<Noun>("late").put("a", { name: "x" });
      expect(store.table<Noun>("late").get("a")).toEqual({ name: "x" });
    });
  });
}
