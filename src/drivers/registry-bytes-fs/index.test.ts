import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { registryBytesContract } from "../../core/registry-bytes.contract.ts";
import { FileRegistryBytes } from "./index.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-registry-bytes-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let count = 0;

registryBytesContract("files", async () => new FileRegistryBytes(join(directory, String(count++))));
