/**
 * What every implementation of `ContainerSandboxes` must do, over the real kernel. Called by the suite of an
 * implementation with a factory; containers are records, their processes sockets in the sandbox's namespace.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { eventually } from "../../test/support/cli.ts";
import {
  callTcp,
  callUdp,
  greetTcp,
  greetUdp,
  inside,
  NetworkGround,
  type NetworkStack,
  outside,
} from "../../test/support/network-stack.ts";

/** Ports of the host that the suite may use: ten from here. */
export interface NetworkingContractOptions {
  readonly firstPort: number;
}

/** The links that the rules keep apart. */
function isolation(table: string): Promise<string> {
  return outside(`nft list set ${table} bridges`);
}

export function testContainerSandboxes(
  name: string,
  open: (ground: NetworkGround) => Promise<NetworkStack>,
  { firstPort }: NetworkingContractOptions,
): void {
  describe(`${name} as ContainerSandboxes`, () => {
    const ground = new NetworkGround();
    let stack: NetworkStack;
    const [fixed, udp, range, loopback] = [firstPort, firstPort + 1, firstPort + 2, firstPort + 5];

    beforeAll(async () => {
      stack = await open(ground);
      await stack.networks.sandboxes.recover([]);
    });
    afterAll(async () => {
      stack[Symbol.dispose]();
      await ground[Symbol.asyncDispose]();
    });

    test("a container on the default bridge has an address, a default route and the way to its gateway", async () => {
      await using sandbox = await stack.start(stack.container("plain"));
      const { IPAddress, Gateway, MacAddress } = sandbox.endpoints.bridge ?? {};
      const seen = await inside(sandbox, "ip -o -4 addr show eth0; ip route");
      expect(seen).toContain(`inet ${IPAddress}/`);
      expect(seen).toContain(`default via ${Gateway} dev eth0`);
      expect(MacAddress).toMatch(/^02:42:/);
    });

    test("a container's links take the uplink's mtu, also after all others are gone", async () => {
      const mtuOf = (line: string) => /mtu (\d+)/.exec(line)?.[1] ?? line;
      const uplink = /dev (\S+)/.exec(await outside("ip -4 route show default"))?.[1] ?? "lo";
      const expected = mtuOf(await outside(`ip link show ${uplink}`));
      await (await stack.start(stack.container("before")))[Symbol.asyncDispose]();
      await Bun.sleep(100);
      await using sandbox = await stack.start(stack.container("after"));
      expect(mtuOf(await inside(sandbox, "ip link show eth0"))).toBe(expected);
      expect(mtuOf(await outside(`ip link show ${ground.bridge}`))).toBe(expected);
    });

    test("two containers on one bridge reach each other", async () => {
      await using one = await stack.start(stack.container("one"));
      await using two = await stack.start(stack.container("two"));
      using _server = greetTcp(one, 80);
      const from = two.endpoints.bridge?.IPAddress;
      expect(await callTcp(two, one.endpoints.bridge?.IPAddress ?? "", 80)).toBe(`hello ${from}`);
    });

    test("a published tcp port is reached by loopback, by the host's address, by neighbours and by itself", async () => {
      const PortBindings = { "80/tcp": [{ HostIp: "", HostPort: String(fixed) }] };
      await using web = await stack.start(stack.container("web", { PortBindings }));
      await using other = await stack.start(stack.container("other"));
      const gateway = web.endpoints.bridge?.Gateway ?? "";
      using _server = greetTcp(web, 80);
      expect(await callTcp(undefined, "127.0.0.1", fixed)).toBe(`hello ${gateway}`);
      expect(await callTcp(undefined, gateway, fixed)).toStartWith("hello ");
      expect(await callTcp(other, gateway, fixed)).toStartWith("hello ");
      expect(await callTcp(web, gateway, fixed)).toStartWith("hello ");
      const HostPort = String(fixed);
      expect(web.ports).toEqual({
        "80/tcp": [
          { HostIp: "0.0.0.0", HostPort },
          { HostIp: "::", HostPort },
        ],
      });
    });

    test("a published udp port answers, also to the same client after the container was replaced", async () => {
      const PortBindings = { "53/udp": [{ HostIp: "", HostPort: String(udp) }] };
      const gateway = stack.networks.inspect("bridge").IPAM?.Config?.[0]?.Gateway ?? "";
      const localPort = 15499;
      {
        await using first = await stack.start(stack.container("first", { PortBindings }));
        using _server = await greetUdp(first, 53, "first");
        expect(await callUdp(undefined, gateway, udp, localPort)).toStartWith("first ");
      }
      await using second = await stack.start(stack.container("second", { PortBindings }));
      using _server = await greetUdp(second, 53, "second");
      expect(await callUdp(undefined, gateway, udp, localPort)).toStartWith("second ");
    });

    test("a port that is published belongs to its container until that is gone", async () => {
      const PortBindings = { "80/tcp": [{ HostPort: String(fixed) }] };
      const rival = stack.container("rival", { PortBindings });
      {
        await using _web = await stack.start(stack.container("owner", { PortBindings }));
        expect(stack.start(rival)).rejects.toThrow(
          new RegExp(
            `driver failed programming external connectivity on endpoint rival \\([0-9a-f]{64}\\): Bind for 0.0.0.0:${fixed} failed: port is already allocated`,
          ),
        );
        expect(() => greetTcp(undefined, fixed)).toThrow();
      }
      await using sandbox = await stack.start(rival);
      expect(sandbox.ports["80/tcp"]).toHaveLength(2);
    });

    test("a port of another program is not taken from it", async () => {
      using _server = greetTcp(undefined, fixed, "127.0.0.1");
      const web = stack.container("late", { PortBindings: { "80/tcp": [{ HostPort: String(fixed) }] } });
      expect(stack.start(web)).rejects.toThrow(`failed to bind host port for 0.0.0.0:${fixed}:`);
      expect(stack.start(web)).rejects.toThrow("address already in use");
    });

    test("a range gives the first free port, and no port means one of the kernel's range", async () => {
      const PortBindings = {
        "80/tcp": [{ HostPort: `${range}-${range + 2}` }],
        "81/tcp": [{ HostPort: "" }],
      };
      await using one = await stack.start(stack.container("r1", { PortBindings }));
      await using two = await stack.start(stack.container("r2", { PortBindings }));
      expect(one.ports["80/tcp"]?.[0]?.HostPort).toBe(String(range));
      expect(two.ports["80/tcp"]?.[0]?.HostPort).toBe(String(range + 1));
      const ephemeral = Number(one.ports["81/tcp"]?.[0]?.HostPort);
      expect(ephemeral).toBeGreaterThanOrEqual(32768);
      expect(ephemeral).not.toBe(Number(two.ports["81/tcp"]?.[0]?.HostPort));
    });

    test("a port published on loopback is nobody else's", async () => {
      const PortBindings = { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: String(loopback) }] };
      await using web = await stack.start(stack.container("local", { PortBindings }));
      await using other = await stack.start(stack.container("curious"));
      const gateway = web.endpoints.bridge?.Gateway ?? "";
      using _server = greetTcp(web, 80);
      expect(await callTcp(undefined, "127.0.0.1", loopback)).toStartWith("hello ");
      expect(await callTcp(undefined, gateway, loopback)).toBe("refused");
      expect(await callTcp(other, gateway, loopback)).toBe("refused");
      await inside(
        other,
        `ip route del local 127.0.0.0/8 table local; ip addr flush dev lo; ip route add 127.0.0.1 via ${gateway}; echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet`,
      );
      expect(await callTcp(other, "127.0.0.1", loopback)).toBe("timeout");
    });

    test("rules, their elements and the bridge come back by themselves within five seconds", async () => {
      const PortBindings = { "80/tcp": [{ HostPort: String(fixed) }] };
      await using web = await stack.start(stack.container("healed", { PortBindings }));
      using _server = greetTcp(web, 80);
      const table = `inet gantry-${ground.instance}`;
      for (const damage of [
        `nft delete table ${table}`,
        `nft flush map ${table} published4any`,
        `nft flush set ${table} bridges`,
        `ip link delete ${ground.bridge}`,
      ]) {
        const intact = await isolation(table);
        expect(await outside(damage)).toBe("");
        await eventually(
          async () =>
            (await callTcp(undefined, "127.0.0.1", fixed)).startsWith("hello ") &&
            (await isolation(table)) === intact,
          { timeout: 5000, what: () => `healing after: ${damage}` },
        );
      }
    });

    test("a container speaks no IPv6 and heeds no router unless its network does, and neither does the bridge", async () => {
      await using sandbox = await stack.start(stack.container("quiet"));
      const read = (link: string) => `cd /proc/sys/net/ipv6/conf/${link} && cat disable_ipv6 accept_ra`;
      expect(await inside(sandbox, read("eth0"))).toBe("1\n0");
      expect(await inside(sandbox, read("default"))).toBe("1\n0");
      expect(await outside(read(ground.bridge))).toBe("1\n0");
    });

    test("host mode uses the host's namespace and files, none has loopback alone", async () => {
      await using host = await stack.start(stack.container("hosty", { NetworkMode: "host" }));
      await using none = await stack.start(stack.container("lonely", { NetworkMode: "none" }));
      expect(await inside(host, "readlink /proc/self/ns/net")).toBe(
        await inside({ namespacePath: "/proc/self/ns/net" }, "readlink /proc/self/ns/net"),
      );
      expect(await inside(none, "ip -o addr show lo")).toContain("127.0.0.1/8");
      expect(await inside(none, "ip -o link | wc -l")).toBe("1");
      expect(Object.keys(host.endpoints)).toEqual(["host"]);
      expect(Object.keys(none.endpoints)).toEqual(["none"]);
      expect(none.ports).toEqual({});
    });

    test("a container joins the namespace of another one, and gives nothing of it up", async () => {
      await using owner = await stack.start(stack.container("owner"));
      const holder = Bun.spawn(["nsenter", `--net=${owner.namespacePath}`, "sleep", "60"]);
      try {
        await Bun.sleep(50);
        const guest = stack.container("guest", { NetworkMode: "container:owner" });
        const { signal } = new AbortController();
        const joined = { id: owner.id, pid: holder.pid };
        await using sandbox = await stack.networks.sandboxes.create(guest, { joined, signal });
        expect(await inside(sandbox, "readlink /proc/self/ns/net")).toBe(
          await inside(owner, "readlink /proc/self/ns/net"),
        );
        expect(sandbox.files).toEqual({});
      } finally {
        holder.kill();
      }
      expect(await inside(owner, "ip -o link show eth0")).toContain("eth0");
    });

    test("disposing gives up everything at once, twice if asked", async () => {
      const sandbox = await stack.start(stack.container("gone"));
      const { key = "" } = sandbox;
      expect(existsSync(key)).toBe(true);
      await sandbox[Symbol.asyncDispose]();
      await sandbox[Symbol.asyncDispose]();
      expect(existsSync(key)).toBe(false);
      expect(stack.networks.inspect("bridge").Containers).toEqual({});
    });

    test("a start that fails leaves nothing", async () => {
      const before = stack.networks.inspect("bridge").Containers;
      const wanted = stack.container("broken", { NetworkMode: "nowhere" });
      expect(stack.start(wanted)).rejects.toThrow(
        "failed to set up container networking: network nowhere not found",
      );
      expect(stack.networks.inspect("bridge").Containers).toEqual(before);
    });

    test("an engine that ends with no containers leaves nothing, and has its networks again", async () => {
      await using _web = await stack.start(stack.container("last"));
      await _web[Symbol.asyncDispose]();
      const { Id } = stack.networks.inspect("bridge");
      stack[Symbol.dispose]();
      expect(ground.links().filter((line) => line.includes(ground.bridge))).toEqual([]);
      expect(ground.tables()).toEqual([]);
      stack = await open(ground);
      await stack.networks.sandboxes.recover([]);
      expect(stack.networks.inspect("bridge").Id).toBe(Id);
      expect(ground.links().filter((line) => line.includes(ground.bridge))).toHaveLength(1);
    });

    test("a running container keeps its network when the daemon is killed, and others are reclaimed", async () => {
      const PortBindings = { "80/tcp": [{ HostPort: String(fixed) }], "81/tcp": [{}] };
      const container = stack.container("survivor", { PortBindings });
      const before = await stack.start(container);
      const dead = await stack.start(stack.container("dead"));
      using _server = greetTcp(before, 80);
      const running = stack.records.get(container.id) ?? container;
      stack[Symbol.dispose]();
      stack = await open(ground);
      stack.records.set(running.id, running);
      const sandboxes = await stack.networks.sandboxes.recover([running]);
      await using after = sandboxes.get(running.id);
      expect(after?.endpoints).toEqual(before.endpoints);
      expect(after?.ports).toEqual(before.ports);
      expect(await callTcp(undefined, "127.0.0.1", fixed)).toStartWith("hello ");
      expect(existsSync(dead.key ?? "")).toBe(false);
      expect(ground.links().filter((line) => line.includes("@"))).toHaveLength(1);
    });
  });
}
