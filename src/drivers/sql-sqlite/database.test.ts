import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sqlContract } from "../../core/sql.contract.ts";
import { openSqliteDatabase } from "./database.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-sql-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

sqlContract("SQLite", async () => openSqliteDatabase(join(directory, `${count++}.db`)));
