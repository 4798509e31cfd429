/** `/info`, `/version`. */
import { type SystemDeps, systemInfo } from "../../engine/system/info.ts";
import type { Handlers } from "../call.ts";
import { type HostFacts, type Identity, toVersion } from "../identity.ts";

export interface SystemHandlerDeps {
  readonly system: SystemDeps;
  readonly identity: Identity;
  /** Asked at each call: a runtime may have been upgraded meanwhile. */
  hostFacts(): Promise<HostFacts>;
}

export function systemHandlers({ system, identity, hostFacts }: SystemHandlerDeps): Handlers {
  return {
    SystemVersion: async (call) => call.json(toVersion(identity, await hostFacts())),
    SystemInfo: async (call) => call.json(await systemInfo(system)),
  };
}
