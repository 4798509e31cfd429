/** `npm run build`: dist/gantry, one file. */
import { statSync } from "node:fs";
import { ensureExecutable, ensureModules, executable, say } from "./lib/host.mjs";

await ensureModules();
const built = await ensureExecutable();
const megabytes = Math.round(statSync(executable).size / 1e6);
say(`dist/gantry: ${megabytes} MB${built ? "" : ", up to date"}`);
