/** What every driver of the SQL port does. Call it with a way to open a fresh, empty database. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { SqlDatabase } from "./sql.ts";

export function sqlContract(name: string, open: () => Promise<SqlDatabase>): void {
  describe(`${name} as SqlDatabase`, () => {
    let database: SqlDatabase;
    beforeEach(async () => {
      database = await open();
      const { text, integer, bytes } = database.reader.dialect;
      await database.transaction(async (sql) => {
        await sql.run("DROP TABLE IF EXISTS things");
        await sql.run(`CREATE TABLE things (name ${text} PRIMARY KEY, size ${integer}, body ${bytes})`);
      });
    });
    afterEach(async () => await database[Symbol.asyncDispose]());

    const insert = (thing: string, size: number) =>
      database.transaction((sql) => sql.run("INSERT INTO things (name, size) VALUES (?, ?)", thing, size));
    const names = async () =>
      (await database.reader.all<{ name: string }>("SELECT name FROM things ORDER BY name")).map(
        ({ name }) => name,
      );

    test("gives back what was written, numbers exact and bytes as they were", async () => {
      const body = Uint8Array.from([0, 1, 255, 39, 92]);
      const size = 2 ** 52 + 1;
      await database.transaction((sql) =>
        sql.run("INSERT INTO things VALUES (?, ?, ?)", "it's ?", size, body),
      );
      const row = await database.reader.get<{ size: number; body: Uint8Array }>(
        "SELECT size, body FROM things WHERE name = ?",
        "it's ?",
      );
      expect(row?.size).toBe(size);
      expect(new Uint8Array(row?.body ?? [])).toEqual(body);
      expect(await database.reader.get("SELECT name FROM things WHERE name = ?", "other")).toBeUndefined();
    });

    test("orders text by its bytes", async () => {
      for (const name of ["b", "B", "a_", "a-", "é", "a1"]) await insert(name, 1);
      expect(await names()).toEqual(["B", "a-", "a1", "a_", "b", "é"]);
    });

    test("tells how many rows were changed", async () => {
      await insert("a", 1);
      await insert("b", 1);
      const update = (size: number) =>
        database.transaction((sql) => sql.run("UPDATE things SET size = 2 WHERE size = ?", size));
      expect([await update(1), await update(1)]).toEqual([2, 0]);
    });

    test("writes nothing of a transaction that throws, and all of the others", async () => {
      const bad = database.transaction(async (sql) => {
        await sql.run("INSERT INTO things (name) VALUES ('half')");
        throw new Error("changed my mind");
      });
      const outcomes = await Promise.allSettled([insert("a", 1), bad, insert("b", 2)]);
      expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
      expect(await names()).toEqual(["a", "b"]);
    });

    test("a statement that fails fails its own transaction alone", async () => {
      await insert("a", 1);
      const outcomes = await Promise.allSettled([insert("a", 2), insert("b", 1)]);
      expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
      expect(await names()).toEqual(["a", "b"]);
    });

    test("readers see nothing of what is not committed", async () => {
      const written = Promise.withResolvers<void>();
      const mayEnd = Promise.withResolvers<void>();
      const writing = database.transaction(async (sql) => {
        await sql.run("INSERT INTO things (name) VALUES ('a')");
        written.resolve();
        await mayEnd.promise;
      });
      await written.promise;
      expect(await names()).toEqual([]);
      mayEnd.resolve();
      await writing;
      expect(await names()).toEqual(["a"]);
    });

    test("a transaction that begins in the moment that another ends is not forgotten", async () => {
      for (let round = 0; round < 50; round++) {
        await insert(`a${round}`, 1);
        for (let turns = 0; turns < round % 8; turns++) await Promise.resolve();
        await insert(`b${round}`, 1);
      }
      expect(await names()).toHaveLength(100);
    });

    test("counts without a lost update when many write at once", async () => {
      await insert("counter", 0);
      const increment = () =>
        database.transaction(async (sql) => {
          const row = await sql.get<{ size: number }>(
            `SELECT size FROM things WHERE name = 'counter'${sql.dialect.forUpdate}`,
          );
          await sql.run("UPDATE things SET size = ? WHERE name = 'counter'", (row?.size ?? 0) + 1);
        });
      await Promise.all(Array.from({ length: 100 }, increment));
      const row = await database.reader.get<{ size: number }>("SELECT size FROM things");
      expect(row?.size).toBe(100);
    });
  });
}
