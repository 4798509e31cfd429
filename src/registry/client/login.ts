/** `docker login`: asks the registry whether credentials are good. */
import { InvalidParameterError, UnauthorizedError } from "../../core/errors.ts";
import { DEFAULT_DOMAIN } from "../../core/references.ts";
import type { Credentials } from "../../core/registry.ts";
import { parseChallenges } from "./challenge.ts";
import type { RegistryHost } from "./hosts.ts";
import { type RegistrySession, withAuthorization, withTries } from "./session.ts";

export async function checkCredentials(
  session: RegistrySession,
  address: string,
  credentials: Credentials,
  signal: AbortSignal,
): Promise<{ identityToken: string }> {
  const host = loginHost(session, address);
  const request = { path: "/v2/", signal };
  const first = await withTries(signal, () => session.http.request(host, request));
  await first.body?.cancel();
  if (first.status === 200) return { identityToken: "" };
  const challenges = parseChallenges(first.headers.get("www-authenticate") ?? "");
  const url = `${session.http.schemeOf(host)}://${host.address}/v2/`;
  let answer: string | undefined;
  try {
    answer = await session.answer(host, challenges, [], { credentials, signal });
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    throw new UnauthorizedError(`Get "${url}": ${error.message}`, { subject: address, cause: error });
  }
  const second = await session.http.request(host, withAuthorization(request, answer));
  await second.body?.cancel();
  if (second.status === 200) return { identityToken: "" };
  const status = `${second.status} ${second.statusText || "Unauthorized"}`;
  throw new UnauthorizedError(`login attempt to ${url} failed with status: ${status}`, { subject: address });
}

function loginHost(session: RegistrySession, address: string): RegistryHost {
  const name = address.replace(/^https?:\/\//, "").split("/", 1)[0] ?? "";
  const domain =
    name === "" || name === "index.docker.io" || name === "registry-1.docker.io" ? DEFAULT_DOMAIN : name;
  if (!URL.canParse(`https://${domain}/`)) {
    throw new InvalidParameterError(`invalid registry endpoint ${JSON.stringify(address)}`);
  }
  return session.ownHost(domain);
}
