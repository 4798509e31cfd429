/**
 * `npm start`: from a clean clone to a running container. Each step looks first whether there is anything to do,
 * so a second run is quick and changes nothing.
 */
import { spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import {
  engineAnswers,
  engineIsOutdated,
  enginePid,
  logfile,
  pidfile,
  socket,
  stopEngine,
} from "./lib/engine.mjs";
import { ensureFirstImage } from "./lib/first-image.mjs";
import {
  enginePackages,
  ensureExecutable,
  ensureModules,
  ensurePackages,
  executable,
  fail,
  imagePackages,
  output,
  requireRoot,
  say,
} from "./lib/host.mjs";

requireRoot();
ensurePackages({ ...enginePackages, ...imagePackages });
await ensureModules();
await ensureExecutable();
await ensureEngine();
say(
  (await ensureFirstImage())
    ? "Made the image busybox:latest from the distro's package."
    : "Image busybox:latest is there.",
);

const greeting = "A container of busybox, on kernel $(uname -r), with address $(hostname -i).";
say(`gantry run --rm busybox sh -c 'echo "${greeting}"'`);
say(
  `  ${output(executable, ["run", "--rm", "busybox", "sh", "-c", `echo "${greeting}"`], { timeout: 60_000 }).trim()}`,
);
say(`
Gantry runs. Any Docker client works with it:  export DOCKER_HOST=unix://${socket}
Next, try:
  dist/gantry run -it --rm busybox
  dist/gantry run -d --name web -p 8080:80 busybox sh -c 'echo hello > index.html; httpd -f'  &&  curl localhost:8080
  dist/gantry ps
Stop the engine with npm stop; containers go on.`);

async function ensureEngine() {
  const running = enginePid();
  if (running !== undefined && engineIsOutdated(running)) {
    say("Restarting the engine with the new build; containers go on.");
    if (!(await stopEngine(running))) fail(`The engine (pid ${running}) does not end. Its log: ${logfile}`);
  } else if (await engineAnswers()) {
    return say(`The engine runs already on ${socket}.`);
  }
  await startEngine();
  say(`The engine runs on ${socket}, state in /var/lib/gantry, log in ${logfile}.`);
}

/** In a session of its own, so that it outlives the terminal. */
async function startEngine() {
  mkdirSync(dirname(pidfile), { recursive: true });
  const log = openSync(logfile, "a", 0o640);
  const engine = spawn(executable, ["daemon", "--pidfile", pidfile], {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: "/",
  });
  let ended = false;
  engine.on("exit", () => {
    ended = true;
  });
  engine.unref();
  const deadline = Date.now() + 30_000;
  while (!(await engineAnswers())) {
    if (ended || Date.now() > deadline)
      fail(`The engine did not start. The end of ${logfile}:\n${tail(logfile)}`);
    await new Promise((wake) => setTimeout(wake, 30));
  }
}

function tail(file) {
  return readFileSync(file, "utf8").split("\n").slice(-15).join("\n");
}
