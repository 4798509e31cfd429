/** The engine that `npm start` runs in the background: where it is, whether it is up, and requests to it. */
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { executable } from "./host.mjs";

export const socket = "/run/gantry/gantry.sock";
export const pidfile = "/run/gantry/gantry.pid";
export const logfile = "/var/log/gantry.log";

/** One request to the engine. @returns status and body, text */
export function engineRequest(method, path, { timeout = 60_000 } = {}) {
  return new Promise((done, broken) => {
    const sent = request(
      { socketPath: socket, method, path, headers: { Host: "gantry" }, timeout },
      (reply) => {
        let body = "";
        reply.setEncoding("utf8").on("data", (text) => {
          body += text;
        });
        reply.on("end", () => done({ status: reply.statusCode, body }));
      },
    );
    sent.on("timeout", () => sent.destroy(new Error(`no answer from the engine to ${method} ${path}`)));
    sent.on("error", broken);
    sent.end();
  });
}

/** Whether an engine answers on the socket. */
export async function engineAnswers() {
  try {
    return (await engineRequest("GET", "/_ping", { timeout: 2_000 })).status === 200;
  } catch {
    return false;
  }
}

/** The engine's process id, if the pidfile names a process that runs our executable. */
export function enginePid() {
  if (!existsSync(pidfile)) return undefined;
  const pid = Number(readFileSync(pidfile, "utf8").trim());
  const program = programOf(pid);
  return program?.replace(/ \(deleted\)$/, "") === executable ? pid : undefined;
}

/** True if the engine runs a build that has been replaced on disk since. */
export function engineIsOutdated(pid) {
  return programOf(pid)?.endsWith(" (deleted)") ?? false;
}

function programOf(pid) {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

/** Ends the engine; containers go on. @returns false if it is still there after 20 s */
export async function stopEngine(pid) {
  process.kill(pid, "SIGTERM");
  const deadline = Date.now() + 20_000;
  while (programOf(pid) !== undefined) {
    if (Date.now() > deadline) return false;
    await new Promise((wake) => setTimeout(wake, 20));
  }
  return true;
}

/** The first port from here on that nobody has, for an example that is to work. */
export async function freePort(first) {
  for (let port = first; port < first + 100; port++) if (await isFree(port)) return port;
  return first;
}

function isFree(port) {
  return new Promise((done) => {
    const server = createServer().once("error", () => done(false));
    server.listen({ port, host: "0.0.0.0", exclusive: true }, () => server.close(() => done(true)));
  });
}

/**
 * Why an engine ended, in its own words.
 * @param {string} log what it wrote: lines as `time=… level=error msg="…" error="…"`, and at the end plain text
 */
export function lastError(log) {
  const lines = log.split("\n").filter((line) => line.trim() !== "");
  const fatal = lines.findLast((line) => line.startsWith("failed to start daemon: "));
  if (fatal) return fatal.slice("failed to start daemon: ".length);
  const last = lines.findLast((line) => /\blevel=(error|fatal)\b/.test(line)) ?? lines.at(-1);
  if (last === undefined) return undefined;
  const [message, error] = ["msg", "error"].map((name) => fieldOf(last, name));
  if (message === undefined) return last;
  return error === undefined ? message : `${message}: ${error}`;
}

function fieldOf(line, name) {
  const value = new RegExp(`\\b${name}=("(?:\\\\.|[^"\\\\])*"|\\S+)`).exec(line)?.[1];
  return value?.startsWith('"') ? JSON.parse(value) : value;
}
