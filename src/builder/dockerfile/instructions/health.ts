/** HEALTHCHECK. */
import type { InstructionNode } from "../parser/node.ts";
import { DockerfileError } from "../source/errors.ts";
import { parseFlags } from "./flags.ts";
import { commonOf, requireSome } from "./request.ts";
import type { HealthCheck, HealthcheckInstruction } from "./types.ts";
import { parseDuration } from "./values.ts";

const MILLISECOND = 1e6;
const unset = { interval: 0, timeout: 0, startPeriod: 0, startInterval: 0, retries: 0 };

export function parseHealthcheck(node: InstructionNode): HealthcheckInstruction {
  const [word = "", ...command] = requireSome(node, "HEALTHCHECK");
  const kind = word.toUpperCase();
  return { ...commonOf(node), kind: "healthcheck", health: healthOf(node, kind, command) };
}

function healthOf(node: InstructionNode, kind: string, command: readonly string[]): HealthCheck {
  if (kind === "NONE") {
    if (command.length > 0) throw new DockerfileError("HEALTHCHECK NONE takes no arguments");
    return { ...unset, test: ["NONE"] };
  }
  const flags = parseFlags(node.flags, {
    interval: "string",
    timeout: "string",
    "start-period": "string",
    "start-interval": "string",
    retries: "string",
  });
  if (kind !== "CMD") {
    throw new DockerfileError(`Unknown type ${JSON.stringify(kind)} in HEALTHCHECK (try CMD)`);
  }
  if (command.length === 0) throw new DockerfileError("Missing command after HEALTHCHECK CMD");
  return {
    test: node.json ? ["CMD", ...command] : ["CMD-SHELL", command.join(" ")],
    interval: durationOf("interval", flags.interval),
    timeout: durationOf("timeout", flags.timeout),
    startPeriod: durationOf("start-period", flags["start-period"]),
    startInterval: durationOf("start-interval", flags["start-interval"]),
    retries: retriesOf(flags.retries),
  };
}

/** In nanoseconds; 0 leaves it to the engine, anything shorter than a millisecond is refused. */
function durationOf(name: string, value: string | undefined): number {
  if (value === undefined || value === "") return 0;
  const duration = parseDuration(value);
  if (duration !== 0 && duration < MILLISECOND) {
    throw new DockerfileError(`Interval ${JSON.stringify(name)} cannot be less than 1ms`);
  }
  return duration;
}

function retriesOf(value: string | undefined): number {
  if (value === undefined || value === "") return 0;
  const retries = /^[+-]?\d+$/.test(value) ? Number(value) : Number.NaN;
  if (Number.isNaN(retries)) {
    throw new DockerfileError(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  }
  if (Math.abs(retries) > 2 ** 31 - 1) {
    throw new DockerfileError(`strconv.ParseInt: parsing ${JSON.stringify(value)}: value out of range`);
  }
  if (retries < 0) throw new DockerfileError(`--retries cannot be negative (${retries})`);
  return retries;
}
