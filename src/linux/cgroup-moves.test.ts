import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { CgroupMoves, ownGroup } from "./cgroup-moves.ts";
import { detectCgroups } from "./cgroups.ts";

test("the daemon's own group is found, and names the process as one that is in it", () => {
  const file = ownGroup(detectCgroups());
  expect(file).toEndWith("/cgroup.procs");
  expect(readFileSync(file ?? "", "utf8").split("\n")).toContain(String(process.pid));
});

test("preparing moves leaves the process where it is", async () => {
  const before = readFileSync("/proc/self/cgroup", "utf8");
  const moves = new CgroupMoves(detectCgroups());
  moves.expect();
  moves.expect();
  await Bun.sleep(40);
  expect(readFileSync("/proc/self/cgroup", "utf8")).toBe(before);
});
