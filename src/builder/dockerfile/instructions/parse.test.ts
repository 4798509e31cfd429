import { describe, expect, test } from "bun:test";
import { Linter, type LintWarning, noLint, parseLintChoice } from "../lint/linter.ts";
import { parseDockerfile } from "../parser/parse.ts";
import { findLocated } from "../source/ranges.ts";
import { mountSource, readMount } from "./mounts.ts";
import { parseStages } from "./parse.ts";
import type { Instruction } from "./types.ts";

const stagesOf = (text: string) => parseStages(parseDockerfile(text).nodes, noLint).stages;

function only<K extends Instruction["kind"]>(kind: K, line: string): Extract<Instruction, { kind: K }> {
  const [instruction] = stagesOf(`FROM x\n${line}`)[0]?.instructions ?? [];
  if (instruction?.kind !== kind) throw new Error(`no ${kind} in ${line}`);
  return instruction as Extract<Instruction, { kind: K }>;
}

function failureOf(line: string): string {
  try {
    stagesOf(`FROM x\n${line}`);
  } catch (error) {
    expect(findLocated(error)?.locations[0]?.[0]?.start.line).toBe(2);
    return (error as Error).message.replace("dockerfile parse error on line 2: ", "");
  }
  throw new Error("parsed");
}

describe("stages", () => {
  test("have names in lower case, bases and platforms as written", () => {
    const stages = stagesOf("# base what it is for\nFROM --platform=$P a:b AS base\nRUN x\nFROM base");
    expect(stages).toMatchObject([
      {
        name: "base",
        base: "a:b",
        platform: "$P",
        description: "what it is for",
        instructions: [{ kind: "run" }],
      },
      { name: "", base: "base", platform: "" },
    ]);
  });

  test("ARG before the first of them is global", () => {
    const { globalArgs } = parseStages(parseDockerfile("ARG A=1 B\nFROM x").nodes, noLint);
    expect(globalArgs[0]?.args).toEqual([
      { key: "A", value: "1", description: "" },
      { key: "B", description: "" },
    ]);
  });

  test("an instruction before the first of them is refused", () => {
    expect(() => stagesOf("RUN x\nFROM y")).toThrow("no build stage in current context");
  });

  test("a bad name is refused", () => {
    expect(() => stagesOf("FROM x AS 1")).toThrow('invalid name for build stage: "1"');
    expect(() => stagesOf("FROM x y")).toThrow("FROM requires either one or three arguments");
  });
});

describe("errors are BuildKit's", () => {
  test.each([
    ["COPPY a b", "unknown instruction: COPPY (did you mean COPY?)"],
    [
      "COPY a",
      "COPY requires at least two arguments, but only one was provided. Destination could not be determined",
    ],
    ["COPY --chon=1 a b", "unknown flag: --chon (did you mean chown?)"],
    ["COPY --link=maybe a b", "expecting boolean value for flag --link, not: maybe"],
    ["COPY --chown a b", "missing a value on flag: --chown"],
    ["COPY --chmod=1 --chmod=2 a b", "duplicate flag specified: --chmod"],
    ["COPY a <<EOF\nEOF", "COPY cannot accept a heredoc as a destination"],
    ["ENV", "ENV requires at least one argument"],
    ["ENV =a", "ENV names can not be blank"],
    ["USER a b", ""],
    ["ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"],
    ["ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"],
    ["SHELL bash -c", "SHELL requires the arguments to be in JSON form"],
    ["RUN --network=mine x", 'invalid network mode "mine"'],
    ["RUN --security=none x", 'security "none" is not valid'],
    [
      "RUN --mount=type=bind,from=$A x",
      "'from' doesn't support variable expansion, define alias stage instead",
    ],
    ["HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"],
    ["HEALTHCHECK RUN x", 'Unknown type "RUN" in HEALTHCHECK (try CMD)'],
    ["HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'],
    ["HEALTHCHECK --timeout=5 CMD x", 'time: missing unit in duration "5"'],
    ["HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"],
  ])("%s", (line, message) => {
    if (message === "") expect(only("user", line).user).toBe("a b");
    else expect(failureOf(line)).toBe(message);
  });
});

describe("COPY and ADD", () => {
  test("take flags, paths and here-documents", () => {
    expect(
      only("copy", "COPY --from=a --chown=1:2 --parents --exclude=x --exclude=y a <<-E b\n\t1\nE"),
    ).toMatchObject({
      from: "a",
      chown: "1:2",
      parents: true,
      exclude: ["x", "y"],
      sources: ["a"],
      inline: [{ name: "E", data: "1\n", expand: true }],
      destination: "b",
    });
    expect(only("add", "ADD --unpack=false --keep-git-dir a b")).toMatchObject({
      unpack: false,
      keepGitDir: true,
    });
    expect(only("add", "ADD a b")).not.toHaveProperty("unpack");
  });
});

describe("RUN", () => {
  test("is a text for the shell or words", () => {
    expect(only("run", "RUN a  b").command).toMatchObject({ words: ["a  b"], shell: true });
    expect(only("run", 'RUN ["a", "b"]').command).toMatchObject({ words: ["a", "b"], shell: false });
  });

  const mountOf = (text: string) => {
    const [fields = []] = only("run", `RUN --mount=${text} x`).mounts;
    return readMount(fields, (word) => word.replace("$N", "named"));
  };

  test("mounts have the defaults of their type", () => {
    expect(mountOf("target=/a,from=b,source=/c")).toMatchObject({
      type: "bind",
      from: "b",
      source: "/c",
      readOnly: true,
    });
    expect(mountOf("type=cache,dst=/$N,sharing=locked,mode=0750")).toMatchObject({
      target: "/named",
      sharing: "locked",
      mode: 0o750,
      readOnly: false,
    });
    expect(mountOf("type=tmpfs,target=/t,size=1m")).toMatchObject({ size: 1 << 20 });
    expect(mountOf("type=secret,id=a,env=TOKEN,required")).toMatchObject({ env: "TOKEN", required: true });
    expect(mountSource([{ text: "", key: "from", value: "a" }])).toBe("a");
  });

  test.each([
    ["type=bnd,target=/a", 'unsupported mount type "bnd" (did you mean bind?)'],
    ["type=cache,target=/a,sharing=mine", 'unsupported sharing value "mine"'],
    ["target=/a,mode=7", 'mode not allowed for "bind" type mounts'],
    ["type=secret", "invalid secret mount. one of source, target required"],
    ["type=secret,id=a,src=b", "both source and id can't be set"],
    ["target=/a,required", "unexpected key 'required' for mount type 'bind'"],
    ["target=/a,sorce=b", "unexpected key 'sorce' in 'sorce=b' (did you mean source?)"],
    ["type=tmpfs,target=/a,size=x", "invalid value for size: x"],
  ])("mount %s is refused", (text, message) => expect(() => mountOf(text)).toThrow(message));

  test("devices have a name and may be required", () => {
    expect(only("run", "RUN --device=vendor.com/d=gpu,required x").devices).toEqual([
      { name: "vendor.com/d=gpu", required: true },
    ]);
  });
});

test("health checks hold nanoseconds", () => {
  expect(
    only("healthcheck", "HEALTHCHECK --interval=1m30s --start-period=1.5s --retries=3 CMD a b").health,
  ).toEqual({
    test: ["CMD-SHELL", "a b"],
    interval: 90e9,
    timeout: 0,
    startPeriod: 1.5e9,
    startInterval: 0,
    retries: 3,
  });
});

test("a trigger keeps its here-documents", () => {
  expect(only("onbuild", "ONBUILD  RUN <<E\na\nE\n").expression).toBe("RUN <<E\na\nE");
});

describe("lint", () => {
  const warningsOf = (text: string, choice = "") => {
    const warnings: LintWarning[] = [];
    const linter = new Linter(parseLintChoice(choice), (warning) => warnings.push(warning));
    parseStages(parseDockerfile(text).nodes, linter);
    return warnings.map((warning) => warning.message);
  };

  test("names of stages and the case of as", () => {
    expect(warningsOf("FROM x as Y")).toEqual([
      "Stage name 'Y' should be lowercase",
      "'as' and 'FROM' keywords' casing do not match",
    ]);
  });

  test("rules are skipped by the build and by a comment above", () => {
    expect(warningsOf("FROM x as y", "skip=FromAsCasing")).toEqual([]);
    expect(warningsOf("# check=skip=all\nFROM x\n# check=skip=MaintainerDeprecated\nMAINTAINER me")).toEqual(
      [],
    );
  });

  test("experimental rules run where they are asked for", () => {
    expect(warningsOf("# no\nFROM x AS y", "experimental=InvalidDefinitionDescription")).toEqual([
      "Comment for FROM should follow the format: `# y <description>`",
    ]);
  });

  test("a violation is an error where that was chosen", () => {
    const linter = new Linter(parseLintChoice("error=true"), () => {});
    parseStages(parseDockerfile("FROM x as y").nodes, linter);
    expect(linter.failure()?.message).toBe("lint violation found for rules: FromAsCasing");
    expect(() => parseLintChoice("what=ever")).toThrow('invalid check option "what"');
  });
});
