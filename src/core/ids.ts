/**
 * Identifiers. Branded so that a name, an id and a digest cannot be confused.
 * Containers, networks and execs have 64 lower-case hex digits; people may give any unique prefix or the name.
 */
import { randomBytes } from "node:crypto";

declare const brand: unique symbol;
export type Branded<T, Name extends string> = T & { readonly [brand]: Name };

export type ContainerId = Branded<string, "ContainerId">;
export type NetworkId = Branded<string, "NetworkId">;
export type EndpointId = Branded<string, "EndpointId">;
export type ExecId = Branded<string, "ExecId">;
/** `sha256:` and 64 hex digits. */
export type Digest = Branded<string, "Digest">;

/** 64 random hex digits, never all decimal in the first twelve (a short id must not look like a number). */
export function randomId<T extends string>(): T {
  for (;;) {
    const id = randomBytes(32).toString("hex");
    if (!/^[0-9]{12}/.test(id)) return id as T;
  }
}

/** The twelve digits that Docker shows people. */
export function shortId(id: string): string {
  const digits = id.startsWith("sha256:") ? id.slice(7) : id;
  return digits.slice(0, 12);
}
