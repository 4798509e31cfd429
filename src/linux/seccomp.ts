/**
 * Compiles a seccomp filter to the kernel's program with libseccomp, the library that the runtimes use themselves.
 * Compiling Docker's profile takes about 20 ms of CPU, as long as all the rest of a container's creation: done here
 * once per profile instead of in the runtime once per container.
 *
 * The library is opened at the first use; where it cannot be, callers let the runtime compile.
 */

import { dlopen, FFIType, type Pointer, ptr } from "bun:ffi";
import { closeSync, readFileSync } from "node:fs";
import { check, cString, LinuxError, libc } from "./libc.ts";

/** The members of OCI's `linux.seccomp` that make up the program. */
export interface SeccompRules {
  readonly defaultAction: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[];
  readonly syscalls: readonly {
    readonly names: readonly string[];
    readonly action: string;
    readonly errnoRet?: number;
    readonly args?: readonly {
      readonly index: number;
      readonly value: number;
      readonly valueTwo?: number;
      readonly op: string;
    }[];
  }[];
}

const EPERM = 1;
const EEXIST = 17;
const UNKNOWN_SYSCALL = -1;

/** @see seccomp.h; those with a value take the errno or the tracer's message in their low 16 bits */
const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};
const ACTIONS_WITH_VALUE = new Set(["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"]);

const COMPARISONS: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

/** `struct scmp_arg_cmp { unsigned arg; enum op; u64 datum_a, datum_b; }` */
const COMPARISON_BYTES = 24;

/**
 * The program as seccomp(SECCOMP_SET_MODE_FILTER) takes it, or undefined if libseccomp is not on this host or does
 * not know an action or comparison: the runtime then gets the rules and says what is wrong in its own words.
 */
export function compileSeccomp(rules: SeccompRules): Uint8Array | undefined {
  const library = openLibrary();
  const defaultAction = actionOf(rules.defaultAction, rules.defaultErrnoRet);
  if (!library || defaultAction === undefined) return undefined;
  const context = library.seccomp_init(defaultAction);
  if (context === null || typeof context === "bigint") return undefined;
  try {
    for (const architecture of rules.architectures ?? []) addArchitecture(library, context, architecture);
    for (const rule of rules.syscalls) {
      const action = actionOf(rule.action, rule.errnoRet);
      if (action === undefined) return undefined;
      if (action === defaultAction) continue;
      for (const comparisons of comparisonSets(rule.args ?? [])) {
        if (!comparisons) return undefined;
        for (const name of rule.names) addRule(library, context, { name, action, comparisons });
      }
    }
    return exportProgram(library, context);
  } finally {
    library.seccomp_release(context);
  }
}

type Library = NonNullable<ReturnType<typeof openLibrary>>;

let opened: ReturnType<typeof loadLibrary> | null | undefined;

function openLibrary(): ReturnType<typeof loadLibrary> | null {
  try {
    opened ??= loadLibrary();
  } catch {
    opened = null; // not installed: crun brings it along, a static runc does not
  }
  return opened;
}

function loadLibrary() {
  const { i32, u32 } = FFIType;
  const pointer = FFIType.ptr;
  return dlopen("libseccomp.so.2", {
    seccomp_init: { args: [u32], returns: pointer },
    seccomp_release: { args: [pointer], returns: FFIType.void },
    seccomp_arch_resolve_name: { args: [pointer], returns: u32 },
    seccomp_arch_add: { args: [pointer, u32], returns: i32 },
    seccomp_syscall_resolve_name: { args: [pointer], returns: i32 },
    seccomp_rule_add_array: { args: [pointer, u32, i32, u32, pointer], returns: i32 },
    seccomp_export_bpf: { args: [pointer, i32], returns: i32 },
  }).symbols;
}

function actionOf(name: string, value: number = EPERM): number | undefined {
  const action = ACTIONS[name];
  return action !== undefined && ACTIONS_WITH_VALUE.has(name) ? action | (value & 0xffff) : action;
}

/** An architecture that this libseccomp does not know cannot run here either. */
function addArchitecture(library: Library, context: Pointer, name: string): void {
  const token = library.seccomp_arch_resolve_name(cString(name.replace("SCMP_ARCH_", "").toLowerCase()));
  if (token === 0) return;
  const result = library.seccomp_arch_add(context, token);
  if (result !== 0 && result !== -EEXIST) throw new LinuxError("seccomp_arch_add", -result, name);
}

/**
 * Conditions on different arguments must all hold, and are one rule; conditions on the same argument are
 * alternatives, a rule each (as runc and crun read them). An undefined set: a comparison that is not known.
 */
function comparisonSets(
  args: NonNullable<SeccompRules["syscalls"][number]["args"]>,
): (Uint8Array | undefined)[] {
  if (args.length === 0) return [new Uint8Array()];
  const encoded = args.map(encodeComparison);
  const alternatives = new Set(args.map(({ index }) => index)).size < args.length;
  if (alternatives) return encoded;
  if (encoded.some((one) => one === undefined)) return [undefined];
  return [Buffer.concat(encoded.filter((one) => one !== undefined))];
}

function encodeComparison({
  index,
  op,
  value,
  valueTwo = 0,
}: NonNullable<SeccompRules["syscalls"][number]["args"]>[number]): Uint8Array | undefined {
  const comparison = COMPARISONS[op];
  if (comparison === undefined) return undefined;
  const bytes = Buffer.alloc(COMPARISON_BYTES);
  bytes.writeUInt32LE(index, 0);
  bytes.writeUInt32LE(comparison, 4);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(valueTwo)), 16);
  return bytes;
}

/** A name that is not known here is of a kernel or architecture that is not here: nothing to refuse. */
function addRule(
  library: Library,
  context: Pointer,
  { name, action, comparisons }: { name: string; action: number; comparisons: Uint8Array },
): void {
  const number = library.seccomp_syscall_resolve_name(cString(name));
  if (number === UNKNOWN_SYSCALL) return;
  const count = comparisons.length / COMPARISON_BYTES;
  const result = library.seccomp_rule_add_array(
    context,
    action,
    number,
    count,
    count === 0 ? null : ptr(comparisons),
  );
  if (result !== 0) throw new LinuxError("seccomp_rule_add", -result, name);
}

function exportProgram(library: Library, context: Pointer): Uint8Array {
  const file = check(libc.memfd_create(cString("seccomp"), 0), "memfd_create");
  try {
    const result = library.seccomp_export_bpf(context, file);
    if (result !== 0) throw new LinuxError("seccomp_export_bpf", -result);
    return readFileSync(`/proc/self/fd/${file}`);
  } finally {
    closeSync(file);
  }
}
