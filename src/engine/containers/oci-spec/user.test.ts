import { describe, expect, test } from "bun:test";
import { findUser, parseGroup, parsePasswd, type ResolvedUser } from "./user.ts";

const users = parsePasswd(
  "root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken\nbin:x:2:2::/bin:\ngina:x:1000:1000::/home/gina:/bin/sh\n" +
    "4242:x:0:0::/root:/bin/sh\nhuge:x:99999999999:0::/:\n",
);
const groups = parseGroup("root:x:0:\nwheel:x:10:gina,root\nvideo:x:44:gina\ngina:x:1000:\n");

const find = (spec: string, add: readonly string[] = []): ResolvedUser => findUser(spec, add, users, groups);

describe("the user of a container", () => {
  test.each<[string, Partial<ResolvedUser>]>([
    ["", { uid: 0, gid: 0, additionalGids: [0, 10], home: "/root" }],
    ["gina", { uid: 1000, gid: 1000, additionalGids: [1000, 10, 44], home: "/home/gina" }],
    ["1000", { uid: 1000, gid: 1000, additionalGids: [1000, 10, 44], home: "/home/gina" }],
    ["gina:video", { uid: 1000, gid: 44, additionalGids: [44] }],
    ["gina:7", { uid: 1000, gid: 7, additionalGids: [7] }],
    ["777", { uid: 777, gid: 0, additionalGids: [0], home: "/" }],
    [":video", { uid: 0, gid: 44, additionalGids: [44] }],
    ["2147483647", { uid: 2147483647 }],
  ])("%p", (spec, expected) => {
    expect(find(spec)).toMatchObject(expected);
  });

  test("groups that are added come behind, each once", () => {
    expect(find("gina", ["video", "99", "10"]).additionalGids).toEqual([1000, 10, 44, 99]);
  });

  test("digits are a number, never somebody's name", () => {
    expect(find("4242").uid).toBe(4242);
    for (const spec of ["2147483648", "4294967296", "99999999999999999999", "-1", "0:4294967296"]) {
      expect(() => find(spec)).toThrow("uids and gids must be in range 0-2147483647");
    }
  });

  test.each([
    ["nobody", "unable to find user nobody: no matching entries in passwd file"],
    ["huge", "unable to find user huge: no matching entries in passwd file"],
    ["gina:nogroup", "unable to find group nogroup: no matching entries in group file"],
  ])("%p is an error in Docker's words", (spec, message) => {
    expect(() => find(spec)).toThrow(message);
  });

  test("an unknown added group is an error", () => {
    expect(() => find("", ["nope"])).toThrow("Unable to find group nope");
  });

  test("without the files numbers work, names do not", () => {
    expect(findUser("5:6", [], undefined, [])).toEqual({ uid: 5, gid: 6, additionalGids: [6], home: "/" });
    expect(() => findUser("gina", [], undefined, [])).toThrow("unable to find user gina");
  });
});
