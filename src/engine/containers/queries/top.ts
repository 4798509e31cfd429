/** `docker top`: the host's `ps` on the container's processes. */
import { InvalidParameterError, SystemError } from "../../../core/errors.ts";
import type { Needs } from "../deps.ts";
import { publish } from "../events.ts";
import { getRunning } from "../state/running.ts";

type TopDeps = Needs<"events" | "running" | "store">;

const DEADLINE = 10_000;

export interface ProcessTable {
  readonly titles: readonly string[];
  readonly processes: readonly (readonly string[])[];
}

/** @throws ConflictError unless it runs; InvalidParameterError for what ps does not take or that hides the pid */
export async function listProcesses(
  deps: TopDeps,
  reference: string,
  psArguments: string,
): Promise<ProcessTable> {
  const container = deps.store.get(reference);
  const { task } = getRunning(deps, container);
  const given = psArguments.trim() === "" ? ["-ef"] : psArguments.trim().split(/\s+/);
  const [pids, output] = await Promise.all([task.processIds(), runPs(given)]);
  const table = parsePs(output, new Set(pids));
  publish(deps.events, container, "top");
  return table;
}

async function runPs(given: readonly string[]): Promise<string> {
  let ps: Bun.Subprocess<"ignore", "pipe", "pipe">;
  try {
    ps = Bun.spawn(["ps", ...given], { stdin: "ignore", stdout: "pipe", stderr: "pipe", timeout: DEADLINE });
  } catch (error) {
    throw new SystemError("ps is needed for top and is not installed on this host", { cause: error });
  }
  const [output, complaint, code] = await Promise.all([
    new Response(ps.stdout).text(),
    new Response(ps.stderr).text(),
    ps.exited,
  ]);
  if (code !== 0) throw new InvalidParameterError(`error running ps: ${complaint.trim()}`);
  return output;
}

/** The last column, the command, may hold spaces. */
function parsePs(output: string, pids: ReadonlySet<number>): ProcessTable {
  const [head = "", ...lines] = output.split("\n").filter((line) => line.trim() !== "");
  const titles = head.trim().split(/\s+/);
  const column = titles.indexOf("PID");
  if (column < 0) throw new InvalidParameterError("Couldn't find PID field in ps output");
  const processes = lines
    .map((line) => {
      const words = line.trim().split(/\s+/);
      return [...words.slice(0, titles.length - 1), words.slice(titles.length - 1).join(" ")];
    })
    .filter((fields) => pids.has(Number(fields[column])));
  return { titles, processes };
}
