import { describe, expect, test } from "bun:test";
import { bool, integer, list, map, parseFlags, string, withDefaults } from "./flags.ts";

const table = {
  all: bool({ short: "a", usage: "" }),
  detach: bool({ short: "d", usage: "" }),
  env: list({ short: "e", usage: "" }),
  interactive: bool({ short: "i", usage: "" }),
  last: integer({ short: "n", usage: "", initial: -1 }),
  name: string({ usage: "" }),
  opt: map({ short: "o", usage: "" }),
  publish: list({ short: "p", usage: "" }),
  rm: bool({ usage: "" }),
  tty: bool({ short: "t", usage: "" }),
  weight: integer({ usage: "", bits: 16, unsigned: true }),
  net: { ...list({ usage: "" }), aliasOf: "network" },
  network: list({ usage: "" }),
};

function parse(line: string, interspersed = true) {
  return parseFlags(table, line.split(" "), { interspersed });
}

describe("flags", () => {
  test("a group of shorthands sets each of them", () => {
    expect(parse("-itd").values).toMatchObject({ interactive: true, tty: true, detach: true, all: false });
  });

  test("a shorthand takes its value attached, after =, or from the next word", () => {
    expect(parse("-p80:80 -p=81:81 -p 82:82").values.publish).toEqual(["80:80", "81:81", "82:82"]);
  });

  test("the last of a group may take a value", () => {
    expect(parse("-itn5").values).toMatchObject({ interactive: true, last: 5 });
  });

  test("a boolean takes a value only after =", () => {
    const { values, positionals } = parse("--rm=false --all true");
    expect(values).toMatchObject({ rm: false, all: true });
    expect(positionals).toEqual(["true"]);
  });

  test("words after -- are positionals", () => {
    expect(parse("-a -- -i x").positionals).toEqual(["-i", "x"]);
  });

  test("the first positional ends the flags where a command says so", () => {
    const { values, positionals } = parse("--rm image --name x -i", false);
    expect(values).toMatchObject({ rm: true, name: "", interactive: false });
    expect(positionals).toEqual(["image", "--name", "x", "-i"]);
  });

  test("an alias sets the flag that it stands for", () => {
    const { values, changed } = parse("--net a --network b");
    expect(values.network).toEqual(["a", "b"]);
    expect([...changed]).toEqual(["network"]);
  });

  test("maps take keys without a value", () => {
    expect(parse("-o a=b -o c").values.opt).toEqual({ a: "b", c: "" });
  });

  test("absent flags have their initial value and did not change", () => {
    const { values, changed } = parse("x");
    expect(values.last).toBe(-1);
    expect(changed.has("last")).toBe(false);
  });

  test.each([
    ["--nope", "unknown flag: --nope"],
    ["-z", "unknown shorthand flag: 'z' in -z"],
    ["-az", "unknown shorthand flag: 'z' in -z"],
    ["--name", "flag needs an argument: --name"],
    ["-an", "flag needs an argument: 'n' in -n"],
    ["--=x", "bad flag syntax: --=x"],
    ["-n x", 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'],
    ["--rm=x", 'invalid argument "x" for "--rm" flag: strconv.ParseBool: parsing "x": invalid syntax'],
    [
      "--weight 70000",
      'invalid argument "70000" for "--weight" flag: strconv.ParseUint: parsing "70000": value out of range',
    ],
  ])("%s is refused in pflag's words", (line, message) => {
    expect(() => parse(line)).toThrow(message);
  });
});

test("the environment may give a flag its default, which the command line overrides", () => {
  const wanted = (initial: string) => string({ usage: "", initial });
  const flags = { platform: { ...wanted(""), variable: "WANTED", withVariable: wanted } };
  const table = withDefaults(flags, { WANTED: "linux/arm64" });
  expect(table.platform?.defaultText).toBe('"linux/arm64"');
  expect(parseFlags(table, [], { interspersed: true }).values.platform).toBe("linux/arm64");
  expect(parseFlags(table, ["--platform", "x"], { interspersed: true }).values.platform).toBe("x");
  expect(withDefaults(flags, {}).platform?.defaultText).toBeUndefined();
});
