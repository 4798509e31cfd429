/** What `docker network connect` and `disconnect` change in containers: their endpoints, and the files made from them. */
import { writeFile } from "node:fs/promises";
import type { NetworkedContainers } from "../../core/networking.ts";
import type { ContainerDeps } from "./deps.ts";
import { identityFiles } from "./paths.ts";

export function networkedContainers({
  store,
  paths,
}: Pick<ContainerDeps, "store" | "paths">): NetworkedContainers {
  return {
    get: (reference) => store.get(reference),
    async setEndpoint(id, networkName, endpoint) {
      store.update(id, ({ networks, requestedNetworks }) => ({
        networks: withEntry(networks, networkName, endpoint?.current),
        requestedNetworks: withEntry(requestedNetworks, networkName, endpoint?.requested),
      }));
    },
    async filesChanged(id, { hosts, resolvConf }) {
      // Written in place: the container has these very files mounted.
      const files = identityFiles(paths, id);
      if (hosts !== undefined) await writeFile(files.hosts, hosts);
      if (resolvConf !== undefined) await writeFile(files.resolvConf, resolvConf);
    },
  };
}

function withEntry<T>(
  entries: Readonly<Record<string, T>>,
  name: string,
  value: T | undefined,
): Record<string, T> {
  const { [name]: _old, ...others } = entries;
  return value === undefined ? others : { ...others, [name]: value };
}
