/** What networks may change of the containers that own endpoints: those, and the files in /etc that name their peers. */
import { writeFile } from "node:fs/promises";
import type { EndpointSettings } from "../../../api/types.ts";
import type { KeyedLock } from "../../../base/keyed-lock.ts";
import type { EnginePaths } from "../../../core/config.ts";
import type { EndpointOwners } from "../../../core/networking.ts";
import { identityFiles } from "./paths.ts";
import type { ContainerStore } from "./store.ts";

/** @param locks the containers' own, by id */
export function endpointOwners(store: ContainerStore, paths: EnginePaths, locks: KeyedLock): EndpointOwners {
  return {
    exclusively: (id, work) => locks.run(id, work),
    get: (reference) => store.get(reference),
    async setEndpoint(id, networkName, endpoint) {
      store.update(id, ({ networks, requestedNetworks }) => ({
        networks: withEndpoint(networks, networkName, endpoint?.current),
        requestedNetworks: withEndpoint(requestedNetworks, networkName, endpoint?.requested),
      }));
    },
    async filesChanged(id, { hosts, resolvConf }) {
      // Written in place: the container has these very files mounted.
      const targets = identityFiles(paths, id);
      if (hosts !== undefined) await writeFile(targets.hosts, hosts);
      if (resolvConf !== undefined) await writeFile(targets.resolvConf, resolvConf);
    },
  };
}

function withEndpoint(
  endpoints: Readonly<Record<string, EndpointSettings>>,
  name: string,
  endpoint: EndpointSettings | undefined,
): Record<string, EndpointSettings> {
  const { [name]: _replaced, ...others } = endpoints;
  return endpoint ? { ...others, [name]: endpoint } : others;
}
