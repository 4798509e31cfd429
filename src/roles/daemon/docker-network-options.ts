/** Network options of dockerd that are no settings of this engine: rows of `docker-options.ts`, which says what they mean. */
import type { DockerOption } from "./options.ts";

const isOn = (value: unknown): boolean => value === true;
const MASQUERADE =
  "rules that masquerade and forward are always kept, in one nftables table of the engine's own";

export const NETWORK_DOCKER_OPTIONS: readonly DockerOption[] = [
  {
    flag: "default-gateway",
    key: "default-gateway",
    kind: "string",
    otherwise: "refused",
    because: "the default bridge's own address is the gateway",
  },
  {
    flag: "default-gateway-v6",
    key: "default-gateway-v6",
    kind: "string",
    otherwise: "refused",
    because: "the default bridge's own address is the gateway",
  },
  {
    flag: "firewall-backend",
    key: "firewall-backend",
    kind: "string",
    granted: (value) => value === "nftables",
    otherwise: "refused",
    because: "rules are kept in nftables",
  },
  // In daemon.json the older form: one address.
  {
    flag: "host-gateway-ip-of-old",
    key: "host-gateway-ip",
    kind: "string",
    otherwise: "refused",
    because: "host-gateway is the address of the default bridge",
  },
  {
    flag: "ip-forward",
    key: "ip-forward",
    kind: "bool",
    granted: isOn,
    otherwise: "ignored",
    because: "forwarding is switched on when a network needs it",
  },
  {
    flag: "ip-forward-no-drop",
    key: "ip-forward-no-drop",
    kind: "bool",
    otherwise: "ignored",
    because: MASQUERADE,
  },
  {
    flag: "ip6tables",
    key: "ip6tables",
    kind: "bool",
    granted: isOn,
    otherwise: "ignored",
    because: MASQUERADE,
  },
  {
    flag: "network-control-plane-mtu",
    key: "network-control-plane-mtu",
    kind: "int",
    granted: (value) => value === 1500,
    otherwise: "ignored",
    because: "this engine has no swarm mode",
  },
  {
    flag: "network-diagnostic-port",
    key: "network-diagnostic-port",
    kind: "int",
    otherwise: "refused",
    because: "there is no network diagnostic server",
  },
  {
    flag: "userland-proxy-path",
    key: "userland-proxy-path",
    kind: "string",
    otherwise: "ignored",
    because: "ports are published without a process for each",
  },
];
