/** Passwords and personal tokens: how they are made, kept and compared. */
import { createHash, randomBytes } from "node:crypto";

/** Begins every personal token, so that secret scanners know one when they see it. */
const TOKEN_PREFIX = "gantry_";
/** argon2id at the least that OWASP asks for: a registry's clients log in with every request that has no token yet. */
const ARGON2 = { algorithm: "argon2id", memoryCost: 19_456, timeCost: 2 } as const;

export async function hashPassword(password: string): Promise<string> {
  return await Bun.password.hash(password, ARGON2);
}

/** @returns `weak` if the hash is of an older kind (imported htpasswd) and should be made anew */
export async function verifyPassword(password: string, hash: string): Promise<"wrong" | "right" | "weak"> {
  // Apache's prefix for what everybody else calls 2b.
  const right = await Bun.password.verify(password, hash.replace(/^\$2y\$/, "$2b$")).catch(() => false);
  if (!right) return "wrong";
  return hash.startsWith("$argon2id$") ? "right" : "weak";
}

/** As long as a real check: the time of an answer tells nobody whether an account exists. */
export async function verifyNothing(password: string): Promise<void> {
  decoy ??= hashPassword(randomBytes(16).toString("hex"));
  await Bun.password.verify(password, await decoy);
}

let decoy: Promise<string> | undefined;

/** 32 random bytes; shown once. */
export function newAccessToken(): string {
  return TOKEN_PREFIX + randomBytes(32).toString("base64url");
}

export function isAccessToken(text: string): boolean {
  return text.startsWith(TOKEN_PREFIX);
}

export function hashAccessToken(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
