import { expect, test } from "bun:test";
import { type ExecOp, NONE } from "../graph/ops.ts";
import { type ExecDeps, execOperation } from "./exec.ts";

/** Nothing runs: what is wrong is told before. */
const deps = {} as ExecDeps;

function operation(cdiDevices: ExecOp["cdiDevices"]) {
  const mount = { input: NONE, selector: "", dest: "/", output: 0, readonly: false };
  const op: ExecOp = {
    type: "exec",
    meta: {
      ...{ args: ["true"], env: [], cwd: "/", user: "", extraHosts: [], hostname: "", ulimits: [] },
      ...{ cgroupParent: "", removeMountStubsRecursive: false, validExitCodes: [] },
    },
    mounts: [{ ...mount, mountType: "bind", contentCache: "default" }],
    ...{ network: "sandbox", security: "sandbox", secretEnv: [], cdiDevices },
  };
  return execOperation(deps, op, { inputs: [] });
}

test("a device that a step needs is refused by name; one that it can do without is left out", () => {
  expect(() => operation([{ name: "vendor.com/gpu=all", optional: false }])).toThrow(
    "CDI devices are not implemented: vendor.com/gpu=all",
  );
  expect(operation([{ name: "vendor.com/gpu=all", optional: true }]).outputs).toBe(1);
});
