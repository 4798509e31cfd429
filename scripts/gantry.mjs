/** `npm run -s gantry -- ps`: the program from the sources, without building it. */
import { join } from "node:path";
import { bunBinary, ensureModules, repository, run } from "./lib/host.mjs";

await ensureModules();
const program = [join(repository, "src/main.ts"), ...process.argv.slice(2)];
process.exit(await run(bunBinary(), program, { cwd: process.cwd() }));
