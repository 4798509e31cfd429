/** `/info`, `/version`. */
import { release } from "node:os";
import { type SystemDeps, systemInfo } from "../../engine/system/info.ts";
import type { Handlers } from "../call.ts";
import { type Identity, toVersion } from "../identity.ts";
import { infoFor } from "../versions/info.ts";

export function systemHandlers({ system, identity }: { system: SystemDeps; identity: Identity }): Handlers {
  return {
    SystemVersion: async (call) => {
      const { runtimes, defaultRuntime, monitor } = await system.runtime.describe();
      call.json(
        toVersion(identity, {
          arch: system.host.architecture,
          kernelVersion: release(),
          components: {
            bun: Bun.version,
            [defaultRuntime]: runtimes[defaultRuntime]?.version ?? "not installed",
            conmon: monitor.version,
          },
        }),
      );
    },
    SystemInfo: async (call) => call.json(infoFor(call, await systemInfo(system))),
  };
}
