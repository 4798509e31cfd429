/** The codes of system errors, `ENOENT` and its like: what the platform and `linux/` throw has them in `code`. Pure. */

/** Undefined for whatever has none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Whether the error's code is one of these. */
export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  const code = codeOf(error);
  return code !== undefined && codes.includes(code);
}
