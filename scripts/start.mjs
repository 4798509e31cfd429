/**
 * `npm start`: from a clean clone to a running container. Each step looks first whether there is anything to do,
 * so a second run is quick and changes nothing.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { ensurePackages } from "./lib/apt.mjs";
import {
  engineAnswers,
  engineIsOutdated,
  enginePid,
  freePort,
  lastError,
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
  executable,
  fail,
  imagePackages,
  output,
  requireRoot,
  say,
} from "./lib/host.mjs";

try {
  await main();
} catch (error) {
  fail(`npm start stopped: ${error.message}. Mend that, then run npm start again: it goes on from there.`);
}

async function main() {
  requireRoot();
  ensurePackages({ ...enginePackages, ...imagePackages });
  await ensureModules();
  await ensureExecutable();
  await ensureEngine();
  const made = await ensureFirstImage();
  say(made ? "Made the image busybox:latest from the distro's package." : "Image busybox:latest is there.");
  greet();
  const port = await freePort(8080);
  say(`
Gantry runs. Any Docker client works with it:  export DOCKER_HOST=unix://${socket}
Next, try:
  dist/gantry run -it --rm busybox
  dist/gantry run -d --name web -p ${port}:80 busybox sh -c 'echo hello > index.html; httpd -f'  &&  curl localhost:${port}
  dist/gantry ps
Stop the engine with npm stop; containers go on.`);
}

function greet() {
  const greeting = "A container of busybox, on kernel $(uname -r), with address $(hostname -i).";
  say(`gantry run --rm busybox sh -c 'echo "${greeting}"'`);
  const args = ["run", "--rm", "busybox", "sh", "-c", `echo "${greeting}"`];
  say(`  ${output(executable, args, { timeout: 60_000, env: clientEnvironment() }).trim()}`);
}

/** The engine of this clone is meant, wherever the user's settings point. */
function clientEnvironment() {
  const { DOCKER_CONTEXT: _context, ...environment } = process.env;
  return { ...environment, GANTRY_HOST: `unix://${socket}` };
}

async function ensureEngine() {
  const running = enginePid();
  if (running !== undefined && engineIsOutdated(running)) {
    say("Restarting the engine with the new build; containers go on.");
    if (!(await stopEngine(running))) fail(`The engine (pid ${running}) does not end. Its log: ${logfile}`);
  } else if (await engineAnswers()) {
    return say(
      running === undefined
        ? `An engine that is not of this clone runs already on ${socket}; it is used as it is.`
        : `The engine runs already on ${socket}.`,
    );
  }
  await startEngine();
  say(`The engine runs on ${socket}, state in /var/lib/gantry, log in ${logfile}.`);
}

/** In a session of its own, so that it outlives the terminal. */
async function startEngine() {
  mkdirSync(dirname(pidfile), { recursive: true });
  mkdirSync(dirname(logfile), { recursive: true });
  const before = existsSync(logfile) ? statSync(logfile).size : 0;
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
    if (ended || Date.now() > deadline) {
      const reason = lastError(readFileSync(logfile, "utf8").slice(before));
      const what = ended ? "did not start" : "does not answer yet";
      fail(
        `The engine ${what}: ${reason ?? "its log does not say why"}\nMend that, then run npm start again. The whole log: ${logfile}`,
      );
    }
    await new Promise((wake) => setTimeout(wake, 30));
  }
}
