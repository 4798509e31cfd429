import { describe, expect, test } from "bun:test";
import { InvalidParameterError } from "../../../core/errors.ts";
import { parseSeccompProfile } from "./seccomp-profile.ts";

const rule = { names: ["chmod"], action: "SCMP_ACT_ERRNO" };
const profile = (more: object) => JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", ...more });

describe("a seccomp profile of a user's", () => {
  test("is taken as it is where it has one meaning", () => {
    const args = [{ index: 0, value: 1, op: "SCMP_CMP_EQ" }];
    const text = profile({
      syscalls: [rule, { name: "mkdir", action: "SCMP_ACT_ALLOW", args }],
      comment: "kept",
    });
    expect(parseSeccompProfile(text)).toEqual(JSON.parse(text));
    expect(parseSeccompProfile(profile({ syscalls: null, archMap: null }))).toBeDefined();
  });

  /** moby's TestRunSeccompJSONNoNameAndNames, ...NoArchAndArchMap. */
  test.each<[string, string, string]>([
    [
      "name and names",
      profile({ syscalls: [{ ...rule, name: "mkdir" }] }),
      "both 'name' and 'names' are specified",
    ],
    [
      "architectures and archMap",
      profile({ architectures: ["SCMP_ARCH_X86"], archMap: [{ architecture: "SCMP_ARCH_X86_64" }] }),
      "both 'architectures' and 'archMap' are specified",
    ],
    ["no JSON", "{", "it is not JSON"],
    ["a list", "[]", "it is not an object"],
    ["no default", "{}", "it has no defaultAction"],
    ["a default that is none", profile({ defaultAction: "ALLOW" }), 'defaultAction is unknown: "ALLOW"'],
    ["a rule without an action", profile({ syscalls: [{ names: ["x"] }] }), "it has no syscalls[0].action"],
    [
      "an unknown action",
      profile({ syscalls: [{ ...rule, action: "DENY" }] }),
      "syscalls[0].action is unknown",
    ],
    [
      "names that are no list",
      profile({ syscalls: [{ ...rule, names: "chmod" }] }),
      "syscalls[0].names is not a list",
    ],
    ["rules that are no list", profile({ syscalls: {} }), "syscalls is not a list"],
    [
      "an unknown comparison",
      profile({ syscalls: [{ ...rule, args: [{ index: 0, value: 1, op: "==" }] }] }),
      "syscalls[0].args[0].op is unknown",
    ],
    [
      "a seventh argument",
      profile({ syscalls: [{ ...rule, args: [{ index: 6, value: 1, op: "SCMP_CMP_EQ" }] }] }),
      "syscalls[0].args[0].index is not 0 to 5",
    ],
  ])("%s is refused", (_, text, message) => {
    expect(() => parseSeccompProfile(text)).toThrow(InvalidParameterError);
    expect(() => parseSeccompProfile(text)).toThrow(message);
  });
});
