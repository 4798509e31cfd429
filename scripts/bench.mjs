/** `npm run bench`: Gantry and Docker side by side on this machine. Installs what only that needs. */
import { ensurePackages } from "./lib/apt.mjs";
import {
  bunBinary,
  enginePackages,
  ensureExecutable,
  ensureModules,
  imagePackages,
  requireRoot,
  run,
} from "./lib/host.mjs";
import { ensurePeers } from "./lib/peers.mjs";

requireRoot();
ensurePackages({ ...enginePackages, ...imagePackages, "mkfs.ext4": "e2fsprogs", mount: "mount" });
await ensureModules();
const peers = ensurePeers({ oracle: true });
await ensureExecutable();
process.exit(
  await run(bunBinary(), ["bench/main.ts", ...process.argv.slice(2)], { env: { ...process.env, ...peers } }),
);
