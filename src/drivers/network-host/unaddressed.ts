/** The drivers `host` and `null`: networks that have nothing in the kernel. A container's namespace is all there is. */
import { InvalidParameterError } from "../../core/errors.ts";
import type { NetworkDriver } from "../../core/network-driver.ts";

/** The drivers `host` and `null`: endpoints without addresses, for show. */
export function unaddressedDriver(name: "host" | "null"): NetworkDriver {
  return {
    name,
    addressed: false,
    check({ name: network, options }) {
      const [unknown] = Object.keys(options);
      if (unknown !== undefined)
        throw new InvalidParameterError(`network driver ${name} has no option ${unknown}`, {
          subject: network,
        });
    },
    async ensure() {},
    async remove() {},
    attach() {},
    detach() {},
    forget() {},
    adopt() {},
    interfacePrefix: () => "eth",
    bindAddress: () => undefined,
    route() {},
    async recover() {},
  };
}
