import { afterAll, describe, test } from "bun:test";
import { postgresPrograms, startPostgres, type TestPostgres } from "../../../test/support/postgres.ts";
import { sqlContract } from "../../core/sql.contract.ts";
import { openPostgresDatabase } from "./database.ts";

if (postgresPrograms() === undefined) {
  describe("PostgreSQL as SqlDatabase", () => test.skip("PostgreSQL is not installed", () => {}));
} else {
  let server: TestPostgres | undefined;
  afterAll(async () => await server?.[Symbol.asyncDispose]());
  sqlContract("PostgreSQL", async () => {
    server ??= await startPostgres();
    return await openPostgresDatabase(server.url);
  });
}
