/**
 * Who may call over TCP. A browser on this machine can be made to send requests here by any web page: a name that
 * an attacker points at this address, or a plain cross-site form. Sockets in the file system are out of its reach.
 */
import { isIP } from "node:net";
import { hostname } from "node:os";
import { HttpError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHeaders } from "./headers.ts";

/** Says who may not call. @throws HttpError 403 */
export type AdmissionCheck = (exchange: Exchange) => void;

export interface AdmissionOptions {
  /** Further names by which clients reach this server. */
  readonly allowedHosts?: readonly string[];
  /** The client has shown a certificate: a page on a foreign name cannot do that. */
  readonly clientVerified: boolean;
}

/**
 * Names with a dot can belong to an attacker; addresses, single words and this host's own name cannot.
 * @throws HttpError 403, from the check that it returns
 */
export function admission(options: AdmissionOptions): AdmissionCheck {
  const own = new Set([
    hostname().toLowerCase(),
    ...(options.allowedHosts ?? []).map((name) => name.toLowerCase()),
  ]);
  return ({ head }) => {
    const host = hostOf(head.headers.get("host")?.[0] ?? "");
    if (!options.clientVerified && !isHarmless(host) && !own.has(host)) {
      throw new HttpError(403, `host ${JSON.stringify(host)} is not allowed to name this server`);
    }
    checkOrigin(head.headers, head.headers.get("host")?.[0] ?? "");
  };
}

function checkOrigin(headers: RequestHeaders, host: string): void {
  const origin = headers.get("origin")?.[0];
  const site = headers.get("sec-fetch-site")?.[0];
  const foreignOrigin = origin !== undefined && origin.replace(/^[a-z]+:\/\//i, "") !== host;
  if (foreignOrigin || site === "cross-site" || site === "same-site") {
    throw new HttpError(403, "cross-site request refused");
  }
}

function hostOf(header: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(header);
  return (bracketed?.[1] ?? header.replace(/:\d*$/, "")).toLowerCase();
}

function isHarmless(host: string): boolean {
  return isIP(host) !== 0 || host === "" || !host.replace(/\.$/, "").includes(".");
}
