/** Whose credentials go with a pull. */
import type { RegistryCredentials } from "../../client/images.ts";
import type { Cli } from "../command.ts";
import { HUB_CREDENTIALS_KEY } from "./config-file.ts";

/** @param domain of an image reference: `docker.io`, `registry.example:5000` */
export async function credentialsFor(cli: Cli, domain: string): Promise<RegistryCredentials | undefined> {
  const registry = domain === "docker.io" ? HUB_CREDENTIALS_KEY : domain;
  const auth = await cli.config.findCredentials(registry);
  return auth && { ...auth, serveraddress: registry };
}
