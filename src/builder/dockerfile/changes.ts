/**
 * `docker commit --change` and `docker import --change`: single instructions that change a configuration and nothing else.
 * @see moby `builder/dockerfile/builder.go`, BuildFromConfig
 */
import { posix } from "node:path";
import { InvalidParameterError } from "../../core/errors.ts";
import type { ImageDefaults } from "../../core/image.ts";
import { parseInstruction } from "./instructions/parse.ts";
import type { CommandLine, HealthCheck, Instruction, Pair } from "./instructions/types.ts";
import { parseDockerfile } from "./parser/parse.ts";
import { environmentOf, splitVariable } from "./shell/environment.ts";
import { expand, expandWords } from "./shell/expand.ts";
import { messageOf } from "./source/ranges.ts";

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** @throws InvalidParameterError "run is not a valid change command" */
export function changeConfig(config: ImageDefaults, instructions: readonly string[]): ImageDefaults {
  if (instructions.length === 0) return config;
  const changed: Writable<ImageDefaults> = { ...config };
  try {
    for (const node of parseDockerfile(instructions.join("\n")).nodes) {
      apply(changed, parseInstruction(node));
    }
  } catch (error) {
    if (error instanceof InvalidParameterError) throw error;
    throw new InvalidParameterError(messageOf(error), { cause: error });
  }
  return changed;
}

function apply(config: Writable<ImageDefaults>, instruction: Instruction): void {
  const environment = environmentOf(config.Env ?? []);
  const value = (word: string) => expand(word, environment, { escape: "\\" }).text;
  switch (instruction.kind) {
    case "cmd":
      config.Cmd = wordsOf(config, instruction.command);
      break;
    case "entrypoint":
      config.Entrypoint = wordsOf(config, instruction.command);
      break;
    case "env":
      for (const pair of expanded(instruction.pairs, value))
        config.Env = withVariable(config.Env ?? [], pair);
      break;
    case "label":
      config.Labels = { ...config.Labels, ...Object.fromEntries(expanded(instruction.pairs, value)) };
      break;
    case "expose":
      config.ExposedPorts = {
        ...config.ExposedPorts,
        ...setOf(
          instruction.ports
            .flatMap((word) => expandWords(word, environment, { escape: "\\" }))
            .flatMap(portsOf),
        ),
      };
      break;
    case "volume":
      config.Volumes = { ...config.Volumes, ...setOf(instruction.volumes.map(value)) };
      break;
    case "user":
      config.User = value(instruction.user);
      break;
    case "workdir":
      config.WorkingDir = posix.resolve("/", config.WorkingDir ?? "", value(instruction.path));
      break;
    case "stopsignal":
      config.StopSignal = value(instruction.signal);
      break;
    case "onbuild":
      config.OnBuild = [...(config.OnBuild ?? []), instruction.expression];
      break;
    case "healthcheck":
      config.Healthcheck = toHealthcheck(instruction.health);
      break;
    default:
      throw new InvalidParameterError(`${instruction.kind} is not a valid change command`);
  }
}

function wordsOf({ Shell }: ImageDefaults, { words, shell }: CommandLine): string[] {
  return shell ? [...(Shell ?? ["/bin/sh", "-c"]), words.join(" ")] : [...words];
}

function expanded(pairs: readonly Pair[], value: (word: string) => string): [string, string][] {
  return pairs.map((pair) => [value(pair.key), value(pair.value)]);
}

function withVariable(env: readonly string[], [name, value]: [string, string]): string[] {
  const at = env.findIndex((line) => splitVariable(line)[0] === name);
  return at < 0 ? [...env, `${name}=${value}`] : env.with(at, `${name}=${value}`);
}

function setOf(names: readonly string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, {}]));
}

/** `80`, `53/udp`, `8000-8010`: one entry for each port. */
function portsOf(text: string): string[] {
  const [, first, last = first, protocol = "tcp"] =
    /^(\d{1,5})(?:-(\d{1,5}))?(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  if (first === undefined || from > to || to > 65_535) {
    throw new InvalidParameterError(`invalid containerPort: ${text}`);
  }
  return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}/${protocol.toLowerCase()}`);
}

function toHealthcheck(health: HealthCheck): NonNullable<ImageDefaults["Healthcheck"]> {
  const { test, interval, timeout, startPeriod, startInterval, retries } = health;
  return {
    Test: [...test],
    ...(interval ? { Interval: interval } : {}),
    ...(timeout ? { Timeout: timeout } : {}),
    ...(startPeriod ? { StartPeriod: startPeriod } : {}),
    ...(startInterval ? { StartInterval: startInterval } : {}),
    ...(retries ? { Retries: retries } : {}),
  };
}
