import { expect, test } from "bun:test";
import { compileSeccomp } from "./seccomp.ts";

/** Eight bytes an instruction: code, jt, jf, k. */
function instructions(program: Uint8Array | undefined): number {
  return (program?.length ?? 0) / 8;
}

test("rules become a program of the kernel's instructions", () => {
  const program = compileSeccomp({
    defaultAction: "SCMP_ACT_ALLOW",
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    syscalls: [{ names: ["keyctl", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 38 }],
  });
  expect(instructions(program)).toBeGreaterThan(4);
  expect(Number.isInteger(instructions(program))).toBe(true);
});

test("conditions on one argument are alternatives, on several they hold together", () => {
  const compile = (indexes: number[]) =>
    compileSeccomp({
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [
        {
          names: ["socket"],
          action: "SCMP_ACT_ALLOW",
          args: indexes.map((index) => ({ index, op: "SCMP_CMP_NE", value: 38 })),
        },
      ],
    });
  expect(instructions(compile([0, 1]))).toBeGreaterThan(instructions(compile([0])));
  expect(compile([0, 0])).toEqual(compile([0]));
});

test("an action that is not known is left to the runtime to refuse", () => {
  expect(compileSeccomp({ defaultAction: "SCMP_ACT_SHRUG", syscalls: [] })).toBeUndefined();
  expect(
    compileSeccomp({
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [{ names: ["read"], action: "SCMP_ACT_NOTIFY" }],
    }),
  ).toBeUndefined();
});
