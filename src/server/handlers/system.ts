/** `/info`, `/version`. */
import { release } from "node:os";
import { type SystemDeps, systemInfo } from "../../engine/system/info.ts";
import type { Handlers } from "../call.ts";
import { type Identity, toVersion } from "../identity.ts";

export function systemHandlers({ system, identity }: { system: SystemDeps; identity: Identity }): Handlers {
  return {
    SystemVersion: async (call) => {
      const { runtimes, monitor } = await system.runtime.describe();
      const versions = Object.entries(runtimes).map(([name, { version }]) => [name, version]);
      call.json(
        toVersion(identity, {
          arch: system.host.architecture,
          kernelVersion: release(),
          components: { bun: Bun.version, ...Object.fromEntries(versions), conmon: monitor },
        }),
      );
    },
    SystemInfo: async (call) => call.json(await systemInfo(system)),
  };
}
