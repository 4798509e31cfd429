import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  ask,
  callTcp,
  callUdp,
  greetTcp,
  inside,
  NetworkGround,
  type NetworkStack,
  outside,
  readAnswer,
  toQuery,
} from "../../../test/support/network-stack.ts";
import { NotFoundError } from "../../core/errors.ts";
import { withNamespace } from "../../linux/namespaces.ts";

const ground = new NetworkGround();
let stack: NetworkStack;
const HOST_PORT = 5430;

beforeAll(async () => {
  stack = await ground.open({ addressPools: [{ base: "10.54.0.0/16", size: 24 }] });
  await stack.networks.sandboxes.recover([]);
});
afterAll(async () => {
  stack[Symbol.dispose]();
  await ground[Symbol.asyncDispose]();
});

let made = 0;

/** A network with a bridge that the suite's clean-up finds. */
async function network(name: string, more: object = {}): Promise<string> {
  const Options = { "com.docker.network.bridge.name": `gtn${ground.instance.slice(0, 4)}n${made++}` };
  const { id } = await stack.networks.create({ Name: name, Options, ...more });
  return id;
}

function start(name: string, networkName: string, settings: object = {}, hostConfig: object = {}) {
  const config = { NetworkMode: networkName, ...hostConfig };
  return stack.start(stack.container(name, config, { [networkName]: settings }));
}

describe("creating and removing networks", () => {
  test("a network has a subnet of the pools and its first address as gateway", async () => {
    await network("plain");
    const { IPAM, Driver, Scope, EnableIPv4 } = stack.networks.inspect("plain");
    expect(IPAM?.Config?.[0]?.Subnet).toMatch(/^10\.54\.\d+\.0\/24$/);
    expect(IPAM?.Config?.[0]?.Gateway).toMatch(/^10\.54\.\d+\.1$/);
    expect([Driver, Scope, EnableIPv4]).toEqual(["bridge", "local", true]);
    await stack.networks.remove("plain");
    expect(() => stack.networks.inspect("plain")).toThrow("network plain not found");
  });

  test("names are unique, and the predefined ones are taken and stay", async () => {
    await network("taken");
    expect(network("taken")).rejects.toThrow("network with name taken already exists");
    expect(network("bridge")).rejects.toThrow("operation is not permitted on predefined bridge network");
    expect(stack.networks.remove("host")).rejects.toThrow(
      "host is a pre-defined network and cannot be removed",
    );
    await stack.networks.remove("taken");
  });

  test("subnets do not overlap, and gateways lie in them", async () => {
    await network("first", { IPAM: { Config: [{ Subnet: "10.55.0.0/24" }] } });
    expect(network("second", { IPAM: { Config: [{ Subnet: "10.55.0.128/25" }] } })).rejects.toThrow(
      "Pool overlaps with other one on this address space",
    );
    expect(
      network("third", { IPAM: { Config: [{ Subnet: "10.55.1.0/24", Gateway: "10.55.2.1" }] } }),
    ).rejects.toThrow("doesn't contain this address");
    expect(network("fourth", { IPAM: { Config: [{ Subnet: "10.55.1.1/24" }] } })).rejects.toThrow(
      "it should be 10.55.1.0/24",
    );
    await stack.networks.remove("first");
  });

  test("a network with a running container stays; a unique prefix of its id names it", async () => {
    const id = await network("busy");
    {
      await using _web = await start("web", "busy");
      expect(stack.networks.remove("busy")).rejects.toThrow(
        /network busy has active endpoints \(name:"web" id:"/,
      );
      expect(Object.values(stack.networks.inspect(id.slice(0, 20)).Containers ?? {})[0]?.Name).toBe("web");
    }
    await stack.networks.remove(id.slice(0, 12));
  });

  test("a network that could not be made leaves no link, no rule and no name", async () => {
    const { firewall } = stack.driver;
    const before = ground.links();
    // The last step of all: everything else is there by then.
    firewall.addNetwork = () => {
      throw new Error("no room for rules");
    };
    try {
      expect(network("unmade")).rejects.toThrow("no room for rules");
    } finally {
      Reflect.deleteProperty(firewall, "addNetwork");
    }
    expect(() => stack.networks.inspect("unmade")).toThrow("not found");
    await stack.driver.heal();
    expect(ground.links()).toEqual(before);
  });

  test("a driver that is not here is an error that names it", async () => {
    expect(network("m", { Driver: "overlay" })).rejects.toThrow("network driver overlay is not supported");
    for (const unknown of [{ Driver: "nope" }, { IPAM: { Driver: "nope" } }])
      expect(network("x", unknown)).rejects.toThrow(new NotFoundError('plugin "nope" not found'));
  });

  test("lists are filtered by name, driver, label and type", async () => {
    await network("labelled", { Labels: { tier: "back" } });
    const names = (key: string, value: string) =>
      stack.networks.list(new Map([[key, new Set([value])]])).map(({ Name }) => Name);
    expect(names("label", "tier=back")).toEqual(["labelled"]);
    expect(names("name", "label")).toEqual(["labelled"]);
    expect(names("name", "^labelled$")).toEqual(["labelled"]);
    expect(names("name", "^label$")).toEqual([]);
    expect(names("name", "(")).toEqual([]);
    expect(names("id", "^[0-9a-f]{64}$")).toHaveLength(4);
    expect(names("driver", "null")).toEqual(["none"]);
    expect(names("type", "custom")).toEqual(["labelled"]);
    expect(names("dangling", "true")).toEqual(["labelled"]);
    expect(await stack.networks.prune(new Map([["label", new Set(["tier=front"])]]))).toEqual([]);
    expect(await stack.networks.prune(new Map())).toEqual(["labelled"]);
  });
});

describe("the settings of an endpoint", () => {
  const planned = (networkName: string, settings: object) => () =>
    stack.container("c", { NetworkMode: networkName }, { [networkName]: settings });

  test("are checked where the container is created, all of them at once", () => {
    expect(planned("bridge", { Aliases: ["www"] })).toThrow(
      "invalid config for network bridge: invalid endpoint settings:\nnetwork-scoped alias is supported only for containers in user defined networks",
    );
    expect(planned("absent", { IPAMConfig: { IPv4Address: "fd00::1", LinkLocalIPs: ["0.0.0.0"] } })).toThrow(
      "invalid endpoint settings:\n* invalid IPv4 address: fd00::1\n* invalid link-local IP address: 0.0.0.0",
    );
    expect(planned("absent", { MacAddress: "02:00" })).toThrow("invalid MAC address 02:00");
  });

  test("and where it is connected", () => {
    const { id } = stack.container("lonely", { NetworkMode: "absent" });
    expect(stack.networks.connect("bridge", id, { Aliases: ["www"] })).rejects.toThrow(
      "invalid endpoint settings:\nnetwork-scoped alias is supported only",
    );
  });

  test("set sysctls of its interface, whatever the case of the placeholder", async () => {
    const sysctls = (list: string) => ({ DriverOpts: { "com.docker.network.endpoint.sysctls": list } });
    const list = "net.ipv4.conf.ifname.log_martians=1,net.ipv4.conf.IFNAME.forwarding=0";
    await using sandbox = await start("tuned", "bridge", sysctls(list));
    expect(await inside(sandbox, "cd /proc/sys/net/ipv4/conf/eth0; cat log_martians forwarding")).toBe(
      "1\n0",
    );
    expect(planned("bridge", sysctls("net.ipv4.conf.eth0.forwarding=0"))).toThrow(
      "unrecognised network interface sysctl 'net.ipv4.conf.eth0.forwarding=0'; represent 'net.X.Y.ethN.Z=V' as",
    );
    expect(planned("bridge", sysctls("net.core.conf.IFNAME.forwarding=0"))).toThrow("unrecognised network");
  });

  test("give it link-local addresses besides its own", async () => {
    const LinkLocalIPs = ["169.254.8.9", "fe80::8:9"];
    await using sandbox = await start("linked", "bridge", { IPAMConfig: { LinkLocalIPs } });
    const shown = await inside(sandbox, "ip -o addr show dev eth0");
    expect(shown).toContain("inet 169.254.8.9/16");
    expect(shown).toContain("inet6 fe80::8:9/64");
    expect(shown).toContain(`inet ${sandbox.endpoints.bridge?.IPAddress}/`);
  });
});

test("a network may be called anything but nothing, and its name is data", async () => {
  for (const name of ["-x", "ä/ö", '"; drop', "__proto__", "a\nb", "n".repeat(300)]) {
    const id = await network(name);
    {
      await using web = await start("web", name);
      await using peer = await start("peer", name);
      expect(Object.keys(peer.endpoints)).toEqual([name]);
      const address = web.endpoints[name]?.IPAddress ?? "";
      expect((await ask(peer, "web"))?.addresses).toEqual([address]);
      const reverse = `${address.split(".").reverse().join(".")}.in-addr.arpa`;
      expect((await ask(peer, reverse, "PTR"))?.rcode).toBe(name.length > 253 ? 3 : 0);
    }
    expect(stack.networks.inspect(name).Id).toBe(id);
    await stack.networks.remove(name);
  }
  expect(network(" ")).rejects.toThrow("invalid name: name is empty");
});

test("the families of a network are those of its options where the request says nothing", async () => {
  const Options = { "com.docker.network.enable_ipv4": "false", "com.docker.network.enable_ipv6": "1" };
  const families = async (more: object) => {
    const { id } = await stack.networks.create({ Name: "families", ...more });
    const { EnableIPv4, EnableIPv6, Options: kept } = stack.networks.inspect(id);
    await stack.networks.remove(id);
    return { EnableIPv4, EnableIPv6, kept };
  };
  expect(await families({ Options })).toEqual({ EnableIPv4: false, EnableIPv6: true, kept: Options });
  expect(await families({ Options, EnableIPv4: true, EnableIPv6: false })).toEqual({
    ...{ EnableIPv4: true, EnableIPv6: false, kept: {} },
  });
  expect(families({ Options: { "com.docker.network.enable_ipv6": "x" } })).rejects.toThrow(
    'driver-opt "com.docker.network.enable_ipv6" is not a valid bool',
  );
});

describe("configuration-only networks", () => {
  const configuration = {
    ConfigOnly: true,
    Labels: { tier: "back" },
    IPAM: { Config: [{ Subnet: "10.59.8.0/24", IPRange: "10.59.8.128/25" }] },
  };

  test("are what others are made of, and stay as long as those are there", async () => {
    await stack.networks.create({ Name: "settings", ...configuration });
    expect(stack.networks.inspect("settings")).toMatchObject({
      ...{ Driver: "null", ConfigOnly: true, ConfigFrom: { Network: "" }, Labels: { tier: "back" } },
      IPAM: { Config: [{ Subnet: "10.59.8.0/24", IPRange: "10.59.8.128/25" }] },
    });
    await stack.networks.create({ Name: "made", ConfigFrom: { Network: "settings" } });
    expect(stack.networks.inspect("made")).toMatchObject({
      ...{
        Driver: "bridge",
        ConfigOnly: false,
        ConfigFrom: { Network: "settings" },
        Labels: { tier: "back" },
      },
      IPAM: { Config: [{ Subnet: "10.59.8.0/24", IPRange: "10.59.8.128/25" }] },
    });
    {
      await using web = await start("web", "made");
      expect(web.endpoints.made?.IPAddress).toStartWith("10.59.8.1");
    }
    expect(stack.networks.remove("settings")).rejects.toThrow('configuration network "settings" is in use');
    await stack.networks.remove("made");
    expect(await stack.networks.prune(new Map())).toEqual([]);
    await stack.networks.remove("settings");
  });

  test("take no containers", async () => {
    await stack.networks.create({ Name: "settings", ...configuration });
    const words = "cannot create endpoint on configuration-only network";
    expect(start("web", "settings")).rejects.toThrow(words);
    await using web = await start("web", "bridge");
    expect(stack.networks.connect("settings", web.id, {})).rejects.toThrow(words);
    await web[Symbol.asyncDispose]();
    await stack.networks.remove("settings");
  });

  test("must be there, and be all the settings that there are", () => {
    const from = { Name: "made", ConfigFrom: { Network: "absent" } };
    expect(stack.networks.create(from)).rejects.toThrow(
      new NotFoundError('configuration network "absent" does not exist'),
    );
    expect(stack.networks.create({ ...from, Labels: { a: "b" } })).rejects.toThrow(
      "user specified configurations are not supported if the network depends on a configuration network",
    );
    expect(stack.networks.create({ ...from, Options: { a: "b" } })).rejects.toThrow(
      "network driver options are not supported",
    );
    expect(stack.networks.create({ ...from, ConfigOnly: true })).rejects.toThrow(
      "a configuration network cannot depend on another configuration network",
    );
    expect(stack.networks.create({ Name: "settings", ...configuration, Internal: true })).rejects.toThrow(
      "configuration network can only contain network specific fields",
    );
  });
});

test("no network is found in a scope that is not here", () => {
  expect(stack.networks.inspect("bridge", { scope: "local" }).Name).toBe("bridge");
  expect(() => stack.networks.inspect("bridge", { scope: "swarm" })).toThrow("network bridge not found");
});

describe("addresses", () => {
  test("a static address is given where the user chose the subnet, and to one container at a time", async () => {
    await network("static", { IPAM: { Config: [{ Subnet: "10.56.0.0/24" }] } });
    const settings = { IPAMConfig: { IPv4Address: "10.56.0.9" }, MacAddress: "02:00:00:00:00:09" };
    {
      await using web = await start("web", "static", settings);
      expect(web.endpoints.static?.IPAddress).toBe("10.56.0.9");
      expect(await inside(web, "ip link show eth0")).toContain("link/ether 02:00:00:00:00:09");
      expect(start("rival", "static", settings)).rejects.toThrow("Address already in use");
    }
    const outsideOfIt = { IPAMConfig: { IPv4Address: "10.57.0.9" } };
    expect(() => stack.container("c", {}, { static: outsideOfIt })).toThrow(
      "invalid config for network static: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.57.0.9",
    );
    expect(() => stack.container("c", {}, { bridge: settings })).toThrow(
      "user specified IP address is supported on user defined networks only",
    );
    await stack.networks.remove("static");
  });

  test("an address in a subnet of a family that is off is no error, and is not given", async () => {
    await network("v4only", { IPAM: { Config: [{ Subnet: "2001:389::/64" }] } });
    const settings = { IPAMConfig: { IPv6Address: "2001:389::f00d" } };
    {
      await using web = await start("web", "v4only", settings);
      expect(web.endpoints.v4only?.GlobalIPv6Address).toBe("");
      expect(web.endpoints.v4only?.IPAMConfig).toEqual(settings.IPAMConfig);
    }
    await stack.networks.remove("v4only");
  });

  test("a subnet that is full says so, and has room again when a container goes", async () => {
    await network("small", { IPAM: { Config: [{ Subnet: "10.58.0.0/30" }] } });
    {
      await using _only = await start("only", "small");
      expect(start("second", "small")).rejects.toThrow("no available IPv4 addresses");
    }
    await using again = await start("again", "small");
    expect(again.endpoints.small?.IPAddress).toBe("10.58.0.2");
    await again[Symbol.asyncDispose]();
    await stack.networks.remove("small");
  });

  test("IPv6 where it was asked for, and nowhere else", async () => {
    await network("six", { EnableIPv6: true });
    await using six = await start("six", "six");
    await using two = await start("two", "six");
    await using four = await start("four", "bridge");
    const { GlobalIPv6Address = "", IPv6Gateway } = six.endpoints.six ?? {};
    expect(GlobalIPv6Address).toStartWith("fd");
    expect(await inside(six, "ip -6 route show default")).toContain(`via ${IPv6Gateway}`);
    const conf = "/proc/sys/net/ipv6/conf/eth0";
    expect(await inside(six, `cat ${conf}/disable_ipv6 ${conf}/accept_ra`)).toBe("0\n0");
    using _server = greetTcp(six, 80, "::");
    expect(await callTcp(two, GlobalIPv6Address, 80)).toStartWith("hello ");
    expect(await inside(four, "ip -6 addr show dev eth0")).toBe("");
    expect((await ask(two, "six", "AAAA"))?.addresses).toEqual([GlobalIPv6Address]);
    for (const sandbox of [six, two]) await sandbox[Symbol.asyncDispose]();
    await stack.networks.remove("six");
  });
});

test("a published port of a container with IPv6 is reached by both families on one number", async () => {
  await network("dual", { EnableIPv6: true });
  const PortBindings = { "80/tcp": [{ HostPort: String(HOST_PORT) }] };
  await using web = await start("web", "dual", {}, { PortBindings });
  await using other = await start("other", "dual");
  using _server = greetTcp(web, 80, "::");
  const { IPv6Gateway = "", Gateway = "" } = web.endpoints.dual ?? {};
  expect(web.ports["80/tcp"]).toEqual([
    { HostIp: "0.0.0.0", HostPort: String(HOST_PORT) },
    { HostIp: "::", HostPort: String(HOST_PORT) },
  ]);
  expect(await callTcp(undefined, Gateway, HOST_PORT)).toStartWith("hello ");
  expect(await callTcp(undefined, IPv6Gateway, HOST_PORT)).toStartWith("hello ");
  expect(await callTcp(other, IPv6Gateway, HOST_PORT)).toStartWith("hello ");
  for (const sandbox of [web, other]) await sandbox[Symbol.asyncDispose]();
  await stack.networks.remove("dual");
});

describe("isolation", () => {
  test("bridges do not reach each other, but published ports of one another", async () => {
    await network("left");
    await network("right");
    const PortBindings = { "80/tcp": [{ HostPort: String(HOST_PORT) }] };
    await using web = await start("web", "left", {}, { PortBindings });
    await using other = await start("other", "right");
    using _server = greetTcp(web, 80);
    expect(await callTcp(other, web.endpoints.left?.IPAddress ?? "", 80)).toBe("timeout");
    expect(await callTcp(other, other.endpoints.right?.Gateway ?? "", HOST_PORT)).toBe(
      `hello ${other.endpoints.right?.IPAddress}`,
    );
    for (const sandbox of [web, other]) await sandbox[Symbol.asyncDispose]();
    for (const name of ["left", "right"]) await stack.networks.remove(name);
  });

  test("an internal network has no way out, no published ports, and forwards no names", async () => {
    await network("closed", { Internal: true });
    const PortBindings = { "80/tcp": [{ HostPort: String(HOST_PORT) }] };
    await using web = await start("web", "closed", {}, { PortBindings });
    await using two = await start("two", "closed");
    const gateway = stack.networks.inspect("closed").IPAM?.Config?.[0]?.Gateway ?? "";
    using _server = greetTcp(web, 80);
    expect(await inside(web, "ip route")).not.toContain("default");
    expect(web.ports).toEqual({ "80/tcp": null });
    expect(await callTcp(two, web.endpoints.closed?.IPAddress ?? "", 80)).toStartWith("hello ");
    expect((await ask(two, "web"))?.addresses).toEqual([web.endpoints.closed?.IPAddress ?? ""]);
    expect((await ask(two, "example.com"))?.rcode).toBe(2);
    await inside(web, `ip route add default via ${gateway}`);
    const uplink = (await outside("ip -4 -o addr show eth0")).match(/inet ([\d.]+)/)?.[1] ?? "";
    await using outer = await start("outer", "bridge", {}, { PortBindings });
    using _outer = greetTcp(outer, 80);
    expect(await callTcp(undefined, uplink, HOST_PORT)).toStartWith("hello ");
    expect(await callTcp(web, uplink, HOST_PORT)).toBe("timeout");
    for (const sandbox of [web, two]) await sandbox[Symbol.asyncDispose]();
    await stack.networks.remove("closed");
  });

  test("without inter-container communication containers reach the way out alone", async () => {
    await network("strangers", {
      Options: {
        "com.docker.network.bridge.name": `gtn${ground.instance.slice(0, 4)}icc`,
        "com.docker.network.bridge.enable_icc": "false",
      },
    });
    await using one = await start("one", "strangers");
    await using two = await start("two", "strangers");
    const address = one.endpoints.strangers?.IPAddress ?? "";
    using _server = greetTcp(one, 80);
    expect(await callTcp(undefined, address, 80)).toStartWith("hello ");
    expect(await callTcp(two, address, 80)).toBe("timeout");
    await inside(two, `ip route add ${address}/32 via ${two.endpoints.strangers?.Gateway}`);
    expect(await callTcp(two, address, 80)).toBe("timeout");
    for (const sandbox of [one, two]) await sandbox[Symbol.asyncDispose]();
    await stack.networks.remove("strangers");
  });

  test("gateway modes say what a neighbour of the host reaches at a container's own address", async () => {
    const mode = "com.docker.network.bridge.gateway_mode_ipv4";
    const trusted = "com.docker.network.bridge.trusted_host_interfaces";
    const link = `gtm${ground.instance.slice(0, 6)}`;
    await using neighbour = await start("peer", "none");
    await outside(
      `ip link add ${link} type veth peer name up0 netns /proc/${process.pid}/fd/${neighbour.namespacePath.split("/").at(-1)} && ip addr add 10.59.0.1/24 dev ${link} && ip link set ${link} up`,
    );
    await inside(
      neighbour,
      "ip addr add 10.59.0.2/24 dev up0; ip link set up0 up; ip route add default via 10.59.0.1",
    );
    const published = { PortBindings: { "80/tcp": [{ HostPort: String(HOST_PORT) }] } };
    for (const [name, option, reached, ports] of [
      ["plain", {}, { 80: false, 81: false, host: true, away: "10.59.0.1" }, 2],
      [
        "unprotected",
        { [mode]: "nat-unprotected" },
        { 80: true, 81: true, host: true, away: "10.59.0.1" },
        2,
      ],
      ["routed", { [mode]: "routed" }, { 80: true, 81: false, host: false, away: "own" }, 1],
      ["trusting", { [trusted]: link }, { 80: true, 81: false, host: true, away: "10.59.0.1" }, 2],
    ] as const) {
      const bridge = `gtn${ground.instance.slice(0, 4)}gw`;
      await stack.networks.create({
        Name: name,
        Options: { "com.docker.network.bridge.name": bridge, ...option },
      });
      const web = await start("web", name, {}, published);
      const address = web.endpoints[name]?.IPAddress ?? "";
      const servers = [greetTcp(web, 80), greetTcp(web, 81), greetTcp(neighbour, 90)];
      const says = async (host: string, port: number) =>
        (await callTcp(neighbour, host, port)).startsWith("hello");
      expect({
        80: await says(address, 80),
        81: await says(address, 81),
        host: await says("10.59.0.1", HOST_PORT),
        away: (await callTcp(web, "10.59.0.2", 90)).replace("hello ", "").replace(address, "own"),
      }).toEqual(reached);
      expect(web.ports["80/tcp"]).toHaveLength(ports);
      for (const server of servers) server[Symbol.dispose]();
      await web[Symbol.asyncDispose]();
      await stack.networks.remove(name);
    }
    await outside(`ip link del ${link}`);
  }, 30_000);

  test("a bridge that is isolated, or inhibited, has no address; containers on it reach each other", async () => {
    const option = "com.docker.network.bridge.";
    const bridge = `gtn${ground.instance.slice(0, 4)}iso`;
    for (const [given, Internal] of [
      [{ [`${option}gateway_mode_ipv4`]: "isolated" }, true],
      [{ [`${option}inhibit_ipv4`]: "true" }, false],
    ] as const) {
      const Options = { [`${option}name`]: bridge, ...given };
      await stack.networks.create({ Name: "alone", Internal, Options });
      expect(await outside(`ip -4 -o addr show dev ${bridge}`)).toBe("");
      await using one = await start("one", "alone");
      await using two = await start("two", "alone");
      using _server = greetTcp(one, 80);
      expect(await callTcp(two, one.endpoints.alone?.IPAddress ?? "", 80)).toStartWith("hello ");
      for (const sandbox of [one, two]) await sandbox[Symbol.asyncDispose]();
      await stack.networks.remove("alone");
    }
  });

  test("neighbours of the host cannot use it as a router, nor reach containers and loopback directly", async () => {
    await using web = await start(
      "web",
      "bridge",
      {},
      {
        PortBindings: {
          "80/tcp": [{ HostPort: String(HOST_PORT) }],
          "81/tcp": [{ HostIp: "127.0.0.1", HostPort: String(HOST_PORT + 1) }],
        },
      },
    );
    using _server = greetTcp(web, 80);
    const tag = ground.instance.slice(0, 6);
    const address = web.endpoints.bridge?.IPAddress ?? "";
    await using neighbour = await start("neighbour", "none");
    await outside(
      `ip link add gtm${tag} type veth peer name up0 netns /proc/${process.pid}/fd/${neighbour.namespacePath.split("/").at(-1)} && ip addr add 10.59.0.1/24 dev gtm${tag} && ip link set gtm${tag} up`,
    );
    await inside(
      neighbour,
      "ip addr add 10.59.0.2/24 dev up0; ip link set up0 up; ip route add default via 10.59.0.1",
    );
    expect(await callTcp(neighbour, "10.59.0.1", HOST_PORT)).toBe("hello 10.59.0.2");
    expect(await callTcp(neighbour, address, 80)).toBe("timeout");
    expect(await callTcp(neighbour, "10.59.0.1", HOST_PORT + 1)).toBe("refused");
    await outside(`ip link del gtm${tag}`);
  });
});

describe("names", () => {
  test("containers find each other by name, alias and short id, within their networks only", async () => {
    await network("app");
    await network("far");
    await using web = await start("web", "app", { Aliases: ["www"] });
    await using db = await start("db", "app");
    await using alien = await start("alien", "far");
    const address = web.endpoints.app?.IPAddress ?? "";
    for (const name of ["web", "WEB", "www", web.id.slice(0, 12), "web.app"])
      expect((await ask(db, name))?.addresses).toEqual([address]);
    expect((await ask(db, "web", "AAAA"))?.addresses).toEqual([]);
    expect((await ask(alien, "web"))?.addresses).toEqual([]);
    const reverse = `${address.split(".").reverse().join(".")}.in-addr.arpa`;
    expect((await ask(db, reverse, "PTR"))?.addresses[0]).toContain("web.app");
    expect(stack.files.get(db.id)?.resolvConf).toContain("nameserver 127.0.0.11");
    expect(stack.files.get(db.id)?.resolvConf).toContain("ndots:0");
    for (const sandbox of [web, db, alien]) await sandbox[Symbol.asyncDispose]();
    for (const name of ["app", "far"]) await stack.networks.remove(name);
  });

  test("containers that share an alias take turns, and a gone one is not named", async () => {
    await network("pool");
    await using asker = await start("asker", "pool");
    await using one = await start("one", "pool", { Aliases: ["api"] });
    await using two = await start("two", "pool", { Aliases: ["api"] });
    const firsts = new Set<string>();
    for (let i = 0; i < 4; i++) firsts.add((await ask(asker, "api"))?.addresses[0] ?? "");
    expect(firsts.size).toBe(2);
    await two[Symbol.asyncDispose]();
    expect((await ask(asker, "api"))?.addresses).toEqual([one.endpoints.pool?.IPAddress ?? ""]);
    for (const sandbox of [asker, one]) await sandbox[Symbol.asyncDispose]();
    await stack.networks.remove("pool");
  });

  test("other names are asked of the container's servers from its own namespace; dead ones are a failure in time", async () => {
    await network("up");
    await using server = await start("server", "up");
    const seen: string[] = [];
    const dns = await withNamespace("net", server.namespacePath, () =>
      Bun.udpSocket({
        ...{ hostname: "0.0.0.0", port: 53 },
        socket: {
          data: (socket, query, port, from) => {
            seen.push(from);
            const answer = Buffer.concat([query, Buffer.from("c00c000100010000003c0004c6336401", "hex")]);
            answer.writeUInt16BE(0x8180, 2);
            answer.writeUInt16BE(1, 6);
            socket.send(answer, port, from);
          },
        },
      }),
    );
    const address = server.endpoints.up?.IPAddress ?? "";
    await using client = await start("client", "up", {}, { Dns: [address] });
    expect((await ask(client, "example.com"))?.addresses).toEqual(["198.51.100.1"]);
    expect(seen).toEqual([client.endpoints.up?.IPAddress ?? ""]);
    dns.close();
    expect((await ask(client, "example.com"))?.rcode).toBe(2);
    for (const sandbox of [server, client]) await sandbox[Symbol.asyncDispose]();
    await stack.networks.remove("up");
  });

  test("the same over tcp, and a container may serve port 53 on all addresses itself", async () => {
    await network("tcp");
    await using web = await start("web", "tcp");
    using _own = greetTcp(web, 53);
    const query = toQuery("web", 1);
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const socket = await withNamespace("net", web.namespacePath, () =>
      Bun.connect({
        hostname: "127.0.0.11",
        port: 53,
        socket: { data: (_, bytes) => resolve(Buffer.from(bytes)) },
      }),
    );
    socket.write(Buffer.concat([Buffer.of(0, query.length), query]));
    expect(readAnswer((await promise).subarray(2)).addresses).toEqual([web.endpoints.tcp?.IPAddress ?? ""]);
    socket.end();
    await web[Symbol.asyncDispose]();
    await stack.networks.remove("tcp");
  });
});

describe("links on the default bridge", () => {
  test("name a neighbour in the hosts file and the environment, also after it got another address", async () => {
    const db = stack.container("db", {}, {}, { ExposedPorts: { "5432/tcp": {} }, Env: ["USER=me"] });
    const web = stack.container("web", { Links: ["db:store"] });
    expect(stack.start(web)).rejects.toThrow("Cannot link to a non running container: /db AS /web/store");
    const first = await stack.start(db);
    const address = first.endpoints.bridge?.IPAddress ?? "";
    await using linked = await stack.start(web);
    expect(stack.files.get(web.id)?.hosts).toContain(`${address}\tstore ${db.id.slice(0, 12)} db\n`);
    expect(linked.environment).toEqual(
      expect.arrayContaining([
        "STORE_NAME=/web/store",
        `STORE_PORT_5432_TCP_ADDR=${address}`,
        "STORE_ENV_USER=me",
      ]),
    );

    await first[Symbol.asyncDispose]();
    expect(linked.environment).toEqual([]);
    await using _taken = await start("taken", "bridge");
    stack.container("db");
    await using again = await stack.start(db);
    const other = again.endpoints.bridge?.IPAddress ?? "";
    expect(other).not.toBe(address);
    expect(stack.files.get(web.id)?.hosts).toContain(`${other}\tstore`);
  });

  test("lead to containers that are there, and on the bridge", async () => {
    expect(() => stack.container("lonely", { Links: ["nobody:x"] })).toThrow(
      "could not get container for nobody: No such container: nobody",
    );
    await network("away");
    await using far = await start("far", "away");
    expect(stack.start(stack.container("near", { Links: ["far"] }))).rejects.toThrow(
      "Cannot link to /far, as it does not belong to the default network",
    );
    await far[Symbol.asyncDispose]();
    await stack.networks.remove("away");
  });
});

describe("what is in the namespace already", () => {
  test("a default route of somebody else is no network's to replace: the connection is undone", async () => {
    await network("closed", { Internal: true });
    await network("open");
    await using sandbox = await start("routed", "closed");
    await inside(sandbox, "ip route add default dev eth0");
    const { Id = "" } = stack.networks.inspect("open");
    await expect(stack.networks.connect(Id, "routed", {})).rejects.toThrow(
      "failed to set gateway: file exists",
    );
    expect(Object.keys(sandbox.endpoints)).toEqual(["closed"]);
    expect(await inside(sandbox, "ip -o link")).not.toContain("eth1");
  });

  test("a link that is down keeps nobody on a network that is to be left", async () => {
    await network("left");
    await network("stays");
    const sandbox = await start("leaving", "left", { GwPriority: 1 });
    await stack.networks.connect("stays", "leaving", {});
    await inside(sandbox, "ip link set eth1 down");
    await stack.networks.disconnect("left", "leaving", false);
    expect(Object.keys(sandbox.endpoints)).toEqual(["stays"]);
    await stack.networks.connect("left", "leaving", {});
    await sandbox[Symbol.asyncDispose]();
    await stack.networks.remove("left");
    await stack.networks.remove("stays");
  });

  test("a container that has IPv6 switched off gets no address of it, and no name for one", async () => {
    await network("six", { EnableIPv6: true });
    await using _other = await start("other", "six");
    const off = { Sysctls: { "net.ipv6.conf.all.disable_ipv6": "1" } };
    await using sandbox = await start("foursome", "six", {}, off);
    expect(sandbox.endpoints.six?.GlobalIPv6Address).toBe("");
    expect((await ask(sandbox, "foursome", "AAAA"))?.addresses).toEqual([]);
    expect((await ask(sandbox, "foursome", "A"))?.addresses).toHaveLength(1);
  });

  test.each(["*", "a b", "a\n127.0.0.1 b", ""])("the alias %j is refused", async (alias) => {
    await network("named");
    expect(() => stack.container("c", { NetworkMode: "named" }, { named: { Aliases: [alias] } })).toThrow(
      "invalid network-scoped alias",
    );
    await stack.networks.remove("named");
  });
});

describe("connecting running containers", () => {
  test("a container gets a second network with its names, keeps its way out, and gives it back", async () => {
    await network("extra");
    await using web = await start("web", "bridge");
    await using peer = await start("peer", "extra");
    await stack.networks.connect("extra", "web", { Aliases: ["www"] });
    expect(stack.records.get(web.id)?.networks.extra?.IPAddress).toMatch(/^10\.54\./);
    expect(await inside(web, "ip -o -4 addr show eth1")).toContain("10.54.");
    expect(await inside(web, "ip route show default")).toContain("dev eth0");
    expect((await ask(peer, "www"))?.addresses).toHaveLength(1);
    expect((await ask(web, "peer"))?.addresses).toHaveLength(1);
    expect(stack.files.get(web.id)?.resolvConf).toContain("127.0.0.11");
    expect(stack.networks.connect("extra", "web", {})).rejects.toThrow(
      "endpoint with name web already exists in network extra",
    );
    await stack.networks.disconnect("bridge", "web", false);
    expect(await inside(web, "ip route show default")).toContain("dev eth1");
    await stack.networks.disconnect("extra", "web", false);
    expect(await inside(web, "ip -o link | wc -l")).toBe("1");
    expect(stack.networks.disconnect("extra", "web", false)).rejects.toThrow(
      "is not connected to network extra",
    );
    await peer[Symbol.asyncDispose]();
    await stack.networks.remove("extra");
  });

  test("published ports follow the way out", async () => {
    await network("front");
    const PortBindings = { "80/tcp": [{ HostPort: String(HOST_PORT) }] };
    await using web = await start("web", "bridge", {}, { PortBindings });
    using _server = greetTcp(web, 80);
    await stack.networks.connect("front", "web", { GwPriority: 10 });
    expect(await inside(web, "ip route show default")).toContain("dev eth1");
    expect(await callTcp(undefined, "127.0.0.1", HOST_PORT)).toStartWith("hello 10.54.");
    await stack.networks.disconnect("front", "web", false);
    expect(await callTcp(undefined, "127.0.0.1", HOST_PORT)).toStartWith("hello ");
    await web[Symbol.asyncDispose]();
    await stack.networks.remove("front");
  });

  test("a container that does not run remembers for its next start", async () => {
    await network("later");
    const container = stack.container("sleeper");
    await stack.networks.connect("later", "sleeper", {});
    await using sandbox = await stack.start(stack.records.get(container.id) ?? container);
    expect(Object.keys(sandbox.endpoints).sort()).toEqual(["bridge", "later"]);
    await sandbox[Symbol.asyncDispose]();
    await stack.networks.disconnect("later", "sleeper", false);
    await stack.networks.remove("later");
  });
});

describe("which networks a container starts with", () => {
  const networksOf = async (id: string) => {
    const record = stack.records.get(id);
    if (!record) throw new Error("no such record");
    await using sandbox = await stack.start(record);
    return Object.keys(sandbox.endpoints);
  };

  test("with those that were asked for, its mode's own only if there were none", async () => {
    await network("asked");
    expect(await networksOf(stack.container("c", {}, { asked: {} }).id)).toEqual(["asked"]);
    expect(await networksOf(stack.container("c").id)).toEqual(["bridge"]);
    expect(await networksOf(stack.container("c", { NetworkMode: "asked" }, { bridge: {} }).id)).toEqual([
      "bridge",
    ]);
    await stack.networks.remove("asked");
  });

  test("not with one that it was disconnected from, be it its mode's", async () => {
    await network("other");
    const { id } = stack.container("left", {}, { bridge: {}, other: {} });
    await stack.networks.disconnect("bridge", id, false);
    expect(await networksOf(id)).toEqual(["other"]);
    await stack.networks.disconnect("other", id, false);
    expect(await networksOf(id)).toEqual([]);
    await stack.networks.remove("other");
  });

  test("not with one that is gone, once it was disconnected from it", async () => {
    await network("gone");
    await network("there");
    const { id } = stack.container("stranded", { NetworkMode: "gone" }, { gone: {}, there: {} });
    await stack.networks.remove("gone");
    expect(networksOf(id)).rejects.toThrow("network gone not found");
    await stack.networks.disconnect("gone", id, false);
    expect(await networksOf(id)).toEqual(["there"]);
    expect(stack.networks.disconnect("gone", id, false)).rejects.toThrow(
      `container ${id} is not connected to the network gone`,
    );
    await stack.networks.remove("there");
  });

  test("a container of none that changed over to another network is on that", async () => {
    await network("over");
    const { id } = stack.container("lonely", { NetworkMode: "none" });
    expect(stack.networks.connect("over", id, {})).rejects.toThrow(
      "cannot be connected to multiple networks with one of the networks in private (none) mode",
    );
    await stack.networks.disconnect("none", id, false);
    await stack.networks.connect("over", id, {});
    expect(await networksOf(id)).toEqual(["over"]);
    await stack.networks.remove("over");
  });

  test("connecting and disconnecting wait for a start that is under way", async () => {
    await network("busy");
    const { id } = stack.container("starting");
    const held = await stack.locks.acquire(id);
    const connected = stack.networks.connect("busy", id, {});
    const disconnected = connected.then(() => stack.networks.disconnect("bridge", id, false));
    const record = stack.records.get(id);
    if (!record) throw new Error("no such record");
    await using sandbox = await stack.start(record);
    held[Symbol.dispose]();
    await disconnected;
    expect(Object.keys(sandbox.endpoints)).toEqual(["busy"]);
    expect(Object.keys(stack.records.get(id)?.networks ?? {})).toEqual(["busy"]);
    await sandbox[Symbol.asyncDispose]();
    await stack.networks.remove("busy");
  });
});

describe("what cannot be connected or disconnected", () => {
  test("the host's network, except where the container has it from its beginning", async () => {
    await network("some");
    const plain = stack.container("plain");
    expect(stack.networks.connect("host", plain.id, {})).rejects.toThrow(
      "cannot connect container to host network - container must be created in host network mode",
    );
    const host = stack.container("hosted", { NetworkMode: "host" });
    expect(stack.networks.connect("some", host.id, {})).rejects.toThrow(
      "container sharing network namespace with another container or host cannot be connected",
    );
    await using sandbox = await stack.start(host);
    expect(stack.networks.disconnect("host", host.id, false)).rejects.toThrow(
      "cannot disconnect container from host network - container was created in host network mode",
    );
    await sandbox[Symbol.asyncDispose]();
    await stack.networks.remove("some");
  });

  test("a container that is being removed; to have the network already is fine while it does not run", async () => {
    const { id } = stack.container("twice");
    await stack.networks.connect("bridge", id, {});
    const record = stack.records.get(id);
    if (!record) throw new Error("no such record");
    stack.records.set(id, { ...record, state: { ...record.state, status: "removing" } });
    const words = `Container ${id} is marked for removal and cannot be connected or disconnected to the network`;
    expect(stack.networks.connect("bridge", id, {})).rejects.toThrow(words);
    expect(stack.networks.disconnect("bridge", id, false)).rejects.toThrow(words);
  });
});

describe("healing", () => {
  test("a flushed rule set and a deleted bridge are back, with the ports of running containers", async () => {
    const PortBindings = { "80/tcp": [{ HostPort: String(HOST_PORT) }] };
    await using web = await start("web", "bridge", {}, { PortBindings });
    using _server = greetTcp(web, 80);
    await outside(`nft delete table inet gantry-${ground.instance}`);
    expect(await callTcp(undefined, "127.0.0.1", HOST_PORT)).toBe("refused");
    await stack.driver.heal();
    expect(await callTcp(undefined, "127.0.0.1", HOST_PORT)).toStartWith("hello ");
    await outside(`ip link delete ${ground.bridge}`);
    await stack.driver.heal();
    expect(await callTcp(undefined, "127.0.0.1", HOST_PORT)).toStartWith("hello ");
  });

  test("a port is free and a network gone at once although the rules are not there, and nothing of them comes back", async () => {
    const PortBindings = { "80/tcp": [{ HostPort: String(HOST_PORT) }], "53/udp": [{ HostPort: "" }] };
    await network("doomed");
    const doomed = stack.networks.inspect("doomed").Options?.["com.docker.network.bridge.name"] ?? "";
    const table = `inet gantry-${ground.instance}`;
    {
      await using _web = await start("web", "doomed", {}, { PortBindings });
      await outside(`nft delete table ${table}`);
    }
    await stack.networks.remove("doomed");
    {
      await using next = await start("next", "bridge", {}, { PortBindings });
      using _server = greetTcp(next, 80);
      await stack.driver.heal();
      expect(await callTcp(undefined, "127.0.0.1", HOST_PORT)).toStartWith("hello ");
    }
    const rules = await outside(`nft list table ${table}`);
    expect(rules).not.toContain(doomed);
    expect(rules).not.toContain(String(HOST_PORT));
  });

  test("a network that cannot be had back keeps no other from it", async () => {
    for (const name of ["lost", "found"]) await network(name);
    const [lost = "", found = ""] = ["lost", "found"].map(
      (name) => stack.networks.inspect(name).Options?.["com.docker.network.bridge.name"] ?? "",
    );
    await outside(
      `ip link delete ${lost}; ip link delete ${found}; ip link add ${lost} type veth peer name gtmpeer`,
    );
    await stack.driver.heal();
    expect(await outside(`ip link show ${found}`)).toContain("UP");
    await outside(`ip link delete ${lost}`);
    await stack.driver.heal();
    expect(await outside(`ip link show ${lost}`)).toContain("UP");
    for (const name of ["lost", "found"]) await stack.networks.remove(name);
  });

  test("rules of the user stay, and come first", async () => {
    await using one = await start("one", "bridge");
    await using two = await start("two", "bridge");
    await network("walled");
    await using three = await start(
      "three",
      "walled",
      {},
      { PortBindings: { "80/tcp": [{ HostPort: String(HOST_PORT) }] } },
    );
    using _server = greetTcp(three, 80);
    const gateway = one.endpoints.bridge?.Gateway ?? "";
    const table = `inet gantry-${ground.instance}`;
    await outside(`nft add rule ${table} user ip saddr ${one.endpoints.bridge?.IPAddress} drop`);
    await outside(`nft flush chain ${table} forward`);
    await stack.driver.heal();
    expect(await callTcp(one, gateway, HOST_PORT)).toBe("timeout");
    expect(await callTcp(two, gateway, HOST_PORT)).toStartWith("hello ");
    await outside(`nft flush chain ${table} user`);
    await three[Symbol.asyncDispose]();
    await stack.networks.remove("walled");
  });
});

test("a bridge that was half made when the daemon was killed is made anew; a foreign link is not touched", async () => {
  await using other = new NetworkGround();
  await outside(`ip link add ${other.bridge} group ${0x67616e} type bridge`);
  {
    using killed = await other.open();
    await killed.networks.sandboxes.recover([]);
    await using web = await killed.start(killed.container("web"));
    expect(await inside(web, "ip route")).toContain("default via");
    await outside(`ip link add gtnforeign type bridge`);
    const Options = { "com.docker.network.bridge.name": "gtnforeign" };
    expect(killed.networks.create({ Name: "theirs", Options })).rejects.toThrow("exists already");
  }
  expect(await outside("ip link show gtnforeign")).toContain("gtnforeign");
  await outside("ip link del gtnforeign");
});

test("two engines side by side do not collide, and one's end does not touch the other", async () => {
  await using otherGround = new NetworkGround();
  {
    using other = await otherGround.open();
    await other.networks.sandboxes.recover([]);
    const PortBindings = { "80/tcp": [{ HostPort: String(HOST_PORT) }] };
    await using mine = await start("mine", "bridge", {}, { PortBindings });
    using _server = greetTcp(mine, 80);
    await using theirs = await other.start(other.container("theirs"));
    expect(await callTcp(theirs, mine.endpoints.bridge?.IPAddress ?? "", 80)).toBe("timeout");
    expect(await callTcp(theirs, theirs.endpoints.bridge?.Gateway ?? "", HOST_PORT)).toStartWith("hello ");
    expect(other.start(other.container("rival", { PortBindings }))).rejects.toThrow("address already in use");
    await theirs[Symbol.asyncDispose]();
    await other.networks.sandboxes.recover([]);
    expect(await callTcp(undefined, "127.0.0.1", HOST_PORT)).toStartWith("hello ");
  }
  expect(await callUdp(undefined, "127.0.0.1", HOST_PORT)).toBe("timeout");
});
