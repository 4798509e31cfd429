/**
 * Picks a role from argv and loads it alone: a client's start must not pay for the daemon.
 * `gantryd` and `dockerd` (by name) and `gantry daemon` are the engine; `gantry internal <helper>` is a helper
 * process of it; `gantry registry serve` is a registry; everything else is the client.
 */
import { basename } from "node:path";

const called = basename(process.argv0);
const args = process.argv.slice(2);

if (called === "gantryd" || called === "dockerd") {
  await (await import("./roles/daemon.ts")).main(args, called);
} else if (args[0] === "daemon") {
  await (await import("./roles/daemon.ts")).main(args.slice(1));
} else if (args[0] === "internal") {
  await (await import("./roles/internal.ts")).main(args.slice(1));
} else if (args[0] === "registry" && args[1] === "serve") {
  await (await import("./roles/registry.ts")).main(args.slice(2));
} else {
  await (await import("./roles/client.ts")).main(args);
}
