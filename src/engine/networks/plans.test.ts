/** The pure parts: subnets, ports, files, modes, filters. */
import { describe, expect, test } from "bun:test";
import type { ContainerRecord } from "../../core/container.ts";
import { parsePrefix } from "../../core/ipam.ts";
import {
  effectiveResolver,
  isIPv6Off,
  parseResolvConf,
  toEmbeddedResolvConf,
  toExtraHosts,
  toHostsFile,
  toHostsFileWithoutIPv6,
  toPlainResolvConf,
  toUpstreamServers,
} from "./files.ts";
import { parseLink, resolveLinks, toLinkEnvironment } from "./links.ts";
import {
  bindingsWithoutTarget,
  checkPorts,
  type PublishOptions,
  toPortMap,
  toPortRequests,
} from "./ports.ts";
import { parseNetworkMode } from "./sandboxes.ts";
import { DEFAULT_POOLS, localIPv6Pool, planDefaultSubnets, planSubnets } from "./subnets.ts";

function container(
  hostConfig: ContainerRecord["hostConfig"],
  config: ContainerRecord["config"] = {},
): ContainerRecord {
  return { id: "c".repeat(64), name: "c", hostConfig, config } as ContainerRecord;
}

describe("subnets", () => {
  const options = {
    ...{ enableIPv4: true, enableIPv6: false, pools: DEFAULT_POOLS },
    ...{ networks: [], routes: [], uplinks: [] },
  };

  test("are Docker's pools in their order, without what the host routes elsewhere", () => {
    const routes = [parsePrefix("172.17.0.0/16"), parsePrefix("172.18.4.0/24")];
    expect(planSubnets(undefined, { ...options, routes })).toEqual([
      { subnet: "172.19.0.0/16", gateway: "172.19.0.1" },
    ]);
  });

  test("of the user are taken as they are, also where the host has a route", () => {
    const Config = [{ Subnet: "10.1.0.0/16", IPRange: "10.1.8.0/24", AuxiliaryAddresses: { a: "10.1.8.1" } }];
    const routes = [parsePrefix("10.0.0.0/8")];
    expect(planSubnets({ Config }, { ...options, routes })).toEqual([
      {
        ...{ subnet: "10.1.0.0/16", requested: true, ipRange: "10.1.8.0/24", gateway: "10.1.8.0" },
        auxiliaryAddresses: { a: "10.1.8.1" },
      },
    ]);
  });

  test("of IPv6 come from a pool that is this engine's own", () => {
    const pools = [...DEFAULT_POOLS, localIPv6Pool("a1b2c3d4")];
    const [v4, v6] = planSubnets(undefined, { ...options, enableIPv6: true, pools });
    expect(v4?.subnet).toBe("172.17.0.0/16");
    expect(v6).toEqual({ subnet: "fda1:b2c3:d400::/64", gateway: "fda1:b2c3:d400::1" });
  });

  test.each(["127.5.0.0/24", "224.0.0.0/4", "0.0.0.0/24", "10.9.0.0/16", "10.9.4.0/28", "10.0.0.0/8"])(
    "%s, where containers cannot be or the host would be cut off, is refused",
    (Subnet) => {
      const uplinks = [parsePrefix("10.9.4.0/24")];
      expect(() => planSubnets({ Config: [{ Subnet }] }, { ...options, uplinks })).toThrow(
        /cannot be addresses of containers|leads to the host's default gateway/,
      );
    },
  );

  test("of the default bridge are the configured ones, else what was chosen once; a former configuration is forgotten", () => {
    const config = {
      icc: true,
      masquerade: true,
      ipv6: false,
      fixedCidr: undefined,
      bip6: undefined,
      fixedCidr6: undefined,
    };
    const chosen = { subnet: "172.17.0.0/16", gateway: "172.17.0.1" };
    const chosen6 = { subnet: "fd00::/64", gateway: "fd00::1" };
    const plan = (given: object, { bip, known = [] }: { bip?: string; known?: object[] } = {}) =>
      planDefaultSubnets(
        { bip, defaultBridge: { ...config, ...given } },
        { known: known as never, adopted: undefined, choose: (family) => [family === 4 ? chosen : chosen6] },
      );
    const before = { subnet: "10.9.0.0/16", gateway: "10.9.0.1" };
    expect(plan({})).toEqual([chosen]);
    expect(plan({}, { known: [before] })).toEqual([before]);
    expect(plan({}, { known: [{ ...before, requested: true }] })).toEqual([chosen]);
    expect(plan({ fixedCidr: "10.8.4.0/24" }, { bip: "10.8.0.1/16" })).toEqual([
      { subnet: "10.8.0.0/16", gateway: "10.8.0.1", requested: true, ipRange: "10.8.4.0/24" },
    ]);
    expect(plan({ fixedCidr: "10.8.4.0/24" })).toEqual([
      { subnet: "10.8.4.0/24", gateway: "10.8.4.1", requested: true },
    ]);
    expect(() => plan({ fixedCidr: "10.7.0.0/24" }, { bip: "10.8.0.1/16" })).toThrow(
      "is not within 10.8.0.0/16",
    );
    expect(plan({ ipv6: true })).toEqual([chosen, chosen6]);
    expect(plan({ ipv6: true, bip6: "fd09::1/64" }).at(-1)).toEqual({
      subnet: "fd09::/64",
      gateway: "fd09::1",
      requested: true,
    });
  });

  test("that ran out are an error", () => {
    const networks = [parsePrefix("172.16.0.0/12"), parsePrefix("192.168.0.0/16")];
    expect(() => planSubnets(undefined, { ...options, networks })).toThrow(
      "all predefined address pools have been fully subnetted",
    );
  });

  test.each([
    [{ Subnet: "10.1.0.0" }, "invalid CIDR block notation"],
    [{ Gateway: "10.1.0.1" }, "a subnet must be specified"],
    [{ Subnet: "10.1.0.0/16", IPRange: "10.2.0.0/24" }, "doesn't contain ip-range"],
    [{ Subnet: "10.1.0.0/16", Gateway: "x" }, "invalid gateway x: invalid address"],
  ])("%j is refused", (config, words) => {
    expect(() => planSubnets({ Config: [config] }, options)).toThrow(words);
  });
});

describe("ports", () => {
  const publish = {
    ...{ ipv4: "10.0.0.2", ipv6: undefined, defaultAddress: "0.0.0.0" },
    ...{ hostHasIPv6: false, relay: false },
  };

  test("become requests, fixed ports first, then ranges, then those that are left open", () => {
    const PortBindings = {
      "443/tcp": [{ HostIp: "127.0.0.1", HostPort: "8443" }],
      "80/tcp": [{ HostPort: "8000-8010" }],
      "53/udp": [{}],
    };
    const requests = toPortRequests(container({ PortBindings }), publish);
    const shown = requests.map(({ protocol, port, first, last, targets }) => [
      ...[`${protocol} ${first}-${last} -> ${port}`, targets],
    ]);
    expect(shown).toEqual([
      ["tcp 8443-8443 -> 443", [{ hostAddress: "127.0.0.1", address: "10.0.0.2" }]],
      ["udp 0-0 -> 53", [{ hostAddress: "0.0.0.0", address: "10.0.0.2" }]],
      ["tcp 8000-8010 -> 80", [{ hostAddress: "0.0.0.0", address: "10.0.0.2" }]],
    ]);
  });

  test("that are left open get one number for all host addresses of a container's port", () => {
    const PortBindings = {
      "80/tcp": [{ HostIp: "127.0.0.1" }, { HostIp: "127.0.0.2" }, { HostIp: "127.0.0.2" }],
    };
    const requests = toPortRequests(container({ PortBindings }), publish);
    expect(requests.map(({ targets }) => targets.map(({ hostAddress }) => hostAddress))).toEqual([
      ["127.0.0.1", "127.0.0.2"],
      ["127.0.0.2"],
    ]);
  });

  test("of both families are published on one number", () => {
    const PortBindings = { "80/tcp": [{ HostPort: "8080" }] };
    const targets = (more: Partial<PublishOptions>) =>
      toPortRequests(container({ PortBindings }), { ...publish, ...more }).flatMap(
        (request) => request.targets,
      );
    const [v4, v6] = [
      { hostAddress: "0.0.0.0", address: "10.0.0.2" },
      { hostAddress: "::", address: "fd00::2" },
    ];
    expect(targets({ ipv6: "fd00::2", hostHasIPv6: true })).toEqual([v4, v6]);
    expect(targets({ ipv6: "fd00::2" })).toEqual([v4]);
    expect(targets({ hostHasIPv6: true })).toEqual([v4]);
    expect(targets({ hostHasIPv6: true, relay: true })).toEqual([v4, { ...v6, address: "10.0.0.2" }]);
    expect(targets({ hostHasIPv6: true, relay: true, defaultAddress: "10.1.1.1" })).toEqual([
      { ...v4, hostAddress: "10.1.1.1" },
    ]);
  });

  test("are relayed to the other family and from ::1, and refused by name where there is no relay", () => {
    const PortBindings = {
      "80/tcp": [{ HostIp: "::", HostPort: "8080" }],
      "81/tcp": [{ HostIp: "::1", HostPort: "8082" }],
      "82/sctp": [{ HostIp: "fd00::1", HostPort: "8083" }],
    };
    const web = container({ PortBindings });
    const led = (options: PublishOptions) =>
      toPortRequests(web, options).flatMap((request) =>
        request.targets.map(({ hostAddress, address }) => `${hostAddress} ${address}`),
      );
    expect(led(publish)).toEqual([]);
    expect(bindingsWithoutTarget(web, publish)).toEqual([
      ...["[::]:8080->80/tcp", "[::1]:8082->81/tcp", "[fd00::1]:8083->82/sctp"],
    ]);
    const dual = { ...publish, ipv6: "fd00::2" };
    expect(led(dual)).toEqual([":: fd00::2", "fd00::1 fd00::2"]);
    expect(bindingsWithoutTarget(web, dual)).toEqual(["[::1]:8082->81/tcp"]);
    expect(led({ ...publish, relay: true })).toEqual([":: 10.0.0.2", "::1 10.0.0.2"]);
    expect(bindingsWithoutTarget(web, { ...publish, relay: true })).toEqual(["[fd00::1]:8083->82/sctp"]);
  });

  test("that are exposed are published on any with -P, else shown as null", () => {
    const config = { ExposedPorts: { "80/tcp": {} } };
    expect(toPortRequests(container({ PublishAllPorts: true }, config), publish)).toHaveLength(1);
    expect(toPortRequests(container({}, config), publish)).toEqual([]);
    expect(toPortMap(container({}, config), [])).toEqual({ "80/tcp": null });
  });

  test.each([
    [{ "80/foo": [{}] }],
    [{ "0/tcp": [{}] }],
    [{ "80/tcp": [{ HostPort: "99999" }] }],
    [{ "80/tcp": [{ HostPort: "90-80" }] }],
    [{ "80/tcp": [{ HostIp: "nowhere", HostPort: "80" }] }],
  ])("%j is refused", (PortBindings) => {
    expect(() => checkPorts({ PortBindings })).toThrow(/invalid/);
  });
});

describe("files", () => {
  const host = parseResolvConf(
    "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.53\nsearch lan corp\noptions timeout:1\n",
  );
  const config = { dns: [], dnsOptions: [], dnsSearch: [] };

  test("a container without embedded DNS has the host's servers that it can reach", () => {
    expect(toPlainResolvConf(effectiveResolver(container({}), config, host))).toEndWith(
      "nameserver 10.0.0.53\nsearch lan corp\noptions timeout:1\n",
    );
    const stub = { servers: ["127.0.0.53"], search: [], options: [] };
    expect(toPlainResolvConf(stub)).toContain("nameserver 8.8.8.8");
  });

  test("flags come before the engine's settings, these before the host's; a dot is no search", () => {
    const settings = effectiveResolver(
      container({ Dns: ["1.1.1.1"], DnsSearch: ["."] }),
      { ...config, dns: ["9.9.9.9"], dnsOptions: ["rotate"] },
      host,
    );
    expect(settings).toEqual({ servers: ["1.1.1.1"], search: [], options: ["rotate"] });
    expect(toEmbeddedResolvConf(settings)).toEndWith("nameserver 127.0.0.11\noptions rotate ndots:0\n");
  });

  test("servers on the host's loopback are asked from the host", () => {
    expect(toUpstreamServers(host, false)).toEqual([
      { address: "127.0.0.53", fromHost: true },
      { address: "10.0.0.53", fromHost: false },
    ]);
  });

  test("extra hosts come with the host's gateway and IPv6 in brackets", () => {
    const ExtraHosts = ["db:10.0.0.9", "host.docker.internal:host-gateway", "six=[fd00::1]", "seven:fd00::7"];
    const entries = toExtraHosts(container({ ExtraHosts }), ["172.17.0.1"]);
    expect(toHostsFile(entries, "")).toBe(
      "10.0.0.9\tdb\n172.17.0.1\thost.docker.internal\nfd00::1\tsix\nfd00::7\tseven\n",
    );
  });
});

describe("links", () => {
  const there = (name: string, NetworkMode = "bridge") =>
    ({ id: name.repeat(64), name, hostConfig: { NetworkMode } }) as unknown as ContainerRecord;
  const known = [there("a"), there("b", "container:a"), there("h", "host")];
  const find = (reference: string) => known.find(({ name }) => name === reference);

  test("lead to whom the name means now, or whose network it has", () => {
    expect(resolveLinks(["a:x", "b"], find)).toEqual([
      { alias: "x", target: known[0]?.id },
      { alias: "b", target: known[0]?.id },
    ] as never);
  });

  test("to nobody, or to the host, are refused", () => {
    expect(() => resolveLinks(["nobody"], find)).toThrow(
      "could not get container for nobody: No such container",
    );
    expect(() => resolveLinks(["h"], find)).toThrow(
      "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
    );
  });

  test("are read as people and as Docker's inspect write them", () => {
    expect(parseLink("db")).toEqual({ target: "db", alias: "db" });
    expect(parseLink("db:store")).toEqual({ target: "db", alias: "store" });
    expect(parseLink("/db:/web/store")).toEqual({ target: "db", alias: "store" });
  });

  test("tell the environment of name, ports, ranges and variables", () => {
    const ExposedPorts = { "53/udp": {}, "81/tcp": {}, "80/tcp": {}, "443/tcp": {} };
    const neighbour = container({}, { ExposedPorts, Env: ["PATH=/bin", "HOME=/", "VERSION=1=2", "BARE"] });
    const told = toLinkEnvironment("web", { alias: "my-db", neighbour, address: "10.0.0.2" });
    const ofPort = (port: number, protocol: string) => {
      const name = `MY_DB_PORT_${port}_${protocol.toUpperCase()}`;
      return [
        ...[`${name}=${protocol}://10.0.0.2:${port}`, `${name}_ADDR=10.0.0.2`],
        ...[`${name}_PORT=${port}`, `${name}_PROTO=${protocol}`],
      ];
    };
    expect(told).toEqual([
      "MY_DB_PORT=tcp://10.0.0.2:80",
      ...[80, 81, 443].flatMap((port) => ofPort(port, "tcp")),
      ...ofPort(53, "udp"),
      ...["MY_DB_PORT_80_TCP_START=tcp://10.0.0.2:80", "MY_DB_PORT_80_TCP_PORT_START=80"],
      ...["MY_DB_PORT_80_TCP_END=tcp://10.0.0.2:81", "MY_DB_PORT_80_TCP_PORT_END=81"],
      ...["MY_DB_NAME=/web/my-db", "MY_DB_ENV_VERSION=1=2"],
    ]);
  });
});

test("the hosts file of a container without IPv6 has no line of it", () => {
  const Sysctls = { "net.ipv6.conf.all.disable_ipv6": "1" };
  expect([container({ Sysctls }), container({})].map(isIPv6Off)).toEqual([true, false]);
  const entries = [
    { address: "fd00::2", names: "c" },
    { address: "10.0.0.2", names: "c" },
  ];
  expect(toHostsFileWithoutIPv6(entries)).toBe("127.0.0.1\tlocalhost\n10.0.0.2\tc\n");
  expect(toHostsFile(entries)).toContain("::1\tlocalhost ip6-localhost ip6-loopback\n");
});

test("modes are what Docker calls them", () => {
  expect(parseNetworkMode("default")).toEqual({ kind: "networks", first: "bridge" });
  expect(parseNetworkMode(undefined)).toEqual({ kind: "networks", first: "bridge" });
  expect(parseNetworkMode("none")).toEqual({ kind: "none" });
  expect(parseNetworkMode("container:abc")).toEqual({ kind: "container" });
  expect(parseNetworkMode("app")).toEqual({ kind: "networks", first: "app" });
});
