/**
 * A seccomp profile that somebody handed in, checked: what it says must have one meaning, and an entry that would have no
 * effect is an error, never ignored. Members that are not known are ignored, as dockerd does.
 * @see moby profiles/seccomp/seccomp_linux.go
 */
import type { SeccompProfile } from "../../../core/container-host.ts";
import { InvalidParameterError } from "../../../core/errors.ts";

const ACTION = /^SCMP_ACT_(?:KILL|KILL_PROCESS|KILL_THREAD|TRAP|ERRNO|TRACE|ALLOW|LOG|NOTIFY)$/;
const OPERATOR = /^SCMP_CMP_(?:NE|LT|LE|EQ|GE|GT|MASKED_EQ)$/;

/** @throws InvalidParameterError saying what is wrong with it */
export function parseSeccompProfile(text: string): SeccompProfile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw invalid("it is not JSON", error);
  }
  if (!isObject(parsed)) throw invalid("it is not an object");
  checkAction(parsed.defaultAction, "defaultAction");
  const architectures = optionalArray(parsed.architectures, "architectures");
  const archMap = optionalArray(parsed.archMap, "archMap");
  if (architectures.length > 0 && archMap.length > 0) {
    throw new InvalidParameterError(
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  }
  for (const name of architectures) checkString(name, "architectures");
  for (const [index, row] of archMap.entries()) checkArchitecture(row, `archMap[${index}]`);
  for (const [index, rule] of optionalArray(parsed.syscalls, "syscalls").entries()) {
    checkRule(rule, `syscalls[${index}]`);
  }
  return parsed as unknown as SeccompProfile;
}

function checkArchitecture(row: unknown, place: string): void {
  if (!isObject(row)) throw invalid(`${place} is not an object`);
  checkString(row.architecture, `${place}.architecture`);
  for (const name of optionalArray(row.subArchitectures, `${place}.subArchitectures`)) {
    checkString(name, `${place}.subArchitectures`);
  }
}

function checkRule(rule: unknown, place: string): void {
  if (!isObject(rule)) throw invalid(`${place} is not an object`);
  const names = optionalArray(rule.names, `${place}.names`);
  for (const name of names) checkString(name, `${place}.names`);
  if (rule.name !== undefined) checkString(rule.name, `${place}.name`);
  if (rule.name && names.length > 0) {
    throw new InvalidParameterError(
      "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
    );
  }
  checkAction(rule.action, `${place}.action`);
  for (const [index, argument] of optionalArray(rule.args, `${place}.args`).entries()) {
    checkArgument(argument, `${place}.args[${index}]`);
  }
}

function checkArgument(argument: unknown, place: string): void {
  if (!isObject(argument)) throw invalid(`${place} is not an object`);
  const { index, value, op } = argument;
  if (!Number.isInteger(index) || Number(index) < 0 || Number(index) > 5)
    throw invalid(`${place}.index is not 0 to 5`);
  if (typeof value !== "number" && typeof value !== "bigint") throw invalid(`${place}.value is not a number`);
  if (typeof op !== "string" || !OPERATOR.test(op))
    throw invalid(`${place}.op is unknown: ${JSON.stringify(op)}`);
}

function checkAction(value: unknown, place: string): void {
  if (value === undefined || value === "") throw invalid(`it has no ${place}`);
  if (typeof value !== "string" || !ACTION.test(value)) {
    throw invalid(`${place} is unknown: ${JSON.stringify(value)}`);
  }
}

function checkString(value: unknown, place: string): void {
  if (typeof value !== "string") throw invalid(`${place} is not text`);
}

function optionalArray(value: unknown, place: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${place} is not a list`);
  return value;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(reason: string, cause?: unknown): InvalidParameterError {
  return new InvalidParameterError(`Decoding seccomp profile failed: ${reason}`, { cause });
}
