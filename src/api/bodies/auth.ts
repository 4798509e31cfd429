/** Registry credentials as clients send them: `POST /auth`, and base64url in `X-Registry-Auth` and `X-Registry-Config`. */
import { DecodeError, type Decoder, map, parseJson, string, struct } from "../decode.ts";

export interface RegistryCredentials {
  readonly username?: string;
  readonly password?: string;
  /** base64 of `username:password`. */
  readonly auth?: string;
  readonly serveraddress?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

export const registryCredentials: Decoder<RegistryCredentials> = struct<RegistryCredentials>(
  "registry.AuthConfig",
  {
    username: string,
    password: string,
    auth: string,
    serveraddress: string,
    identitytoken: string,
    registrytoken: string,
  },
);

/** Keyed by registry host. */
export const registryConfig: Decoder<Record<string, RegistryCredentials>> = map(registryCredentials);

/**
 * A header's value → credentials; none at all is an empty value (anonymous).
 * @throws DecodeError
 */
export function decodeAuthHeader<T>(value: string | undefined, decoder: Decoder<T>): T {
  if (value === undefined || value === "") return decoder({});
  // Clients disagree about the alphabet and the padding.
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(value))
    throw new DecodeError("invalid X-Registry-Auth header: not base64");
  const text = Buffer.from(value.replaceAll("-", "+").replaceAll("_", "/"), "base64").toString("utf8");
  try {
    return decoder(parseJson(text));
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new DecodeError("invalid X-Registry-Auth header: invalid JSON", { cause: error });
  }
}
