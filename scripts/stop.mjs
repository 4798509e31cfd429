/** `npm stop`: ends the engine that `npm start` began. Containers go on; the next start takes them over. */
import { enginePid, logfile, stopEngine } from "./lib/engine.mjs";
import { fail, say } from "./lib/host.mjs";

const pid = enginePid();
if (pid === undefined) {
  say("No engine of this clone runs.");
} else if (await stopEngine(pid)) {
  say("The engine has stopped; containers go on. npm start takes them over.");
} else {
  fail(`The engine (pid ${pid}) does not end. Its log: ${logfile}`);
}
