import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { outside } from "../../../test/support/network-stack.ts";
import { randomId } from "../../core/ids.ts";
import type { PublishedPort } from "../../core/network-driver.ts";
import { type ElementChange, encodeElementChange, interfaceKey } from "../../linux/netlink-nftables.ts";
import { deleteTable } from "../../linux/nftables.ts";
import { Firewall, type FirewallNetwork, toRules } from "./firewall.ts";
import { parseBridgeOptions } from "./options.ts";

describe("rules", () => {
  test("guard a host that became a router for containers, and leave others alone", () => {
    expect(toRules("gantry-0", { guardForwarding: true })).toContain("add rule inet gantry-0 forward drop");
    expect(toRules("gantry-0", { guardForwarding: false })).not.toContain("forward drop");
  });

  test("ask the user's chain before anything else is decided", () => {
    const forward = toRules("gantry-0", { guardForwarding: true })
      .split("\n")
      .filter((line) => line.startsWith("add rule inet gantry-0 forward "));
    expect(forward[0]).toBe("add rule inet gantry-0 forward jump user");
  });
});

describe("elements, byte for byte", () => {
  test("an interface name joins a set", () => {
    const change: ElementChange = { set: "bridges", add: [{ key: interfaceKey("gtn0") }] };
    const [message] = encodeElementChange("gantry-0", change);
    expect(message?.type).toBe(0x0a0c);
    expect(Buffer.from(message?.body ?? []).toString("hex")).toBe(
      "01000000" + // NFPROTO_INET, version 0, resource 0
        "0d000100" +
        "67616e7472792d3000000000" + // table "gantry-0"
        "0c000200" +
        "6272696467657300" + // set "bridges"
        "20000380" +
        "1c000180" +
        "18000180" +
        "14000100" +
        "67746e30000000000000000000000000",
    );
  });

  test("a long list is cut into messages that netlink can carry", () => {
    const add = Array.from({ length: 600 }, (_, i) => ({ key: interfaceKey(`gtn${i}`) }));
    expect(encodeElementChange("gantry-0", { set: "bridges", add })).toHaveLength(3);
  });
});

describe("in the kernel", () => {
  const instance = randomId<string>().slice(0, 8);
  const table = `inet gantry-${instance}`;
  let firewall: Firewall;
  let lost = 0;

  beforeEach(async () => {
    firewall = new Firewall(instance, { guardForwarding: false });
    lost = 0;
    firewall.onLost = () => void lost++;
    await firewall.install();
    firewall.reclaim();
  });
  afterEach(async () => {
    firewall[Symbol.dispose]();
    await deleteTable(`gantry-${instance}`);
  });

  const internal: FirewallNetwork = {
    ...{ bridge: "gtnfw0", internal: true, icc: true },
    ...{ masquerade4: false, masquerade6: false, sourceAddress: undefined },
  };
  const port = (hostPort: number, hostAddress = "0.0.0.0"): PublishedPort => ({
    ...{ protocol: "tcp", hostAddress, hostPort, port: 80 },
    address: hostAddress.includes(":") ? "fd00::2" : "172.30.0.2",
  });
  const elementsOf = async (set: string) => {
    const listing = JSON.parse(await outside(`nft -j list table ${table}`));
    const objects: Record<string, { name: string; elem?: unknown[] }>[] = listing.nftables;
    return objects.map(({ set, map }) => set ?? map).find((found) => found?.name === set)?.elem ?? [];
  };

  test("thousands of ports can be published, and are again when the table is lost", async () => {
    const ports = Array.from({ length: 12_000 }, (_, i) => port(i + 1));
    firewall.addPorts(ports);
    await outside(`nft delete table ${table}`);
    expect(await firewall.heal()).toBe(true);
    expect(await elementsOf("published4any")).toHaveLength(ports.length);
    firewall.reclaim();
    firewall.removePorts(ports);
    expect(await elementsOf("published4any")).toEqual([]);
  });

  test("a set that was emptied or added to is what it was again", async () => {
    firewall.addNetwork(internal);
    firewall.addPorts([port(1), port(1, "192.0.2.1"), port(1, "::"), port(1, "2001:db8::1")]);
    expect(await firewall.heal()).toBe(false);
    const sets = ["bridges", "internal", "within", "hairpin", "published4", "published4any", "published6"];
    for (const set of sets) {
      const before = await elementsOf(set);
      expect(before).toHaveLength(1);
      expect(await outside(`nft flush set ${table} ${set} 2>&- || nft flush map ${table} ${set}`)).toBe("");
      expect(await elementsOf(set)).toEqual([]);
      expect(await firewall.heal()).toBe(true);
      expect(await elementsOf(set)).toEqual(before);
    }
    await outside(`nft add element ${table} bridges { "stranger" }`);
    expect(await firewall.heal()).toBe(true);
    expect(await elementsOf("bridges")).toEqual(["gtnfw0"]);
    await firewall.heal();
    expect(await firewall.heal()).toBe(false);
  });

  test("without its table a change counts all the same, and is in force when it is back", async () => {
    firewall.addNetwork(internal);
    firewall.addPorts([port(1)]);
    await outside(`nft delete table ${table}`);
    firewall.removePorts([port(7)]);
    firewall.addPorts([port(2)]);
    firewall.removeNetwork(internal.bridge);
    expect(lost).toBeGreaterThan(0);
    expect(await firewall.heal()).toBe(true);
    expect(await elementsOf("published4any")).toHaveLength(2);
    expect(await elementsOf("bridges")).toEqual([]);
  });

  test("a change that is refused is not put in force later", async () => {
    const unspeakable: PublishedPort = { ...port(3), address: "2001:db8::2" };
    expect(() => firewall.addPorts([port(4), unspeakable])).toThrow();
    await outside(`nft delete table ${table}`);
    expect(await firewall.heal()).toBe(true);
    expect(await elementsOf("published4any")).toEqual([]);
  });

  test("until boot has taken over what runs, what a former daemon left stays", async () => {
    firewall.addPorts([port(5)]);
    firewall[Symbol.dispose]();
    firewall = new Firewall(instance, { guardForwarding: false });
    await firewall.install();
    await outside(`nft flush chain ${table} forward`);
    expect(await firewall.heal()).toBe(true);
    expect(await elementsOf("published4any")).toHaveLength(1);
    firewall.reclaim();
    expect(await elementsOf("published4any")).toEqual([]);
  });
});

describe("options", () => {
  const parse = (options: Record<string, string>) =>
    parseBridgeOptions({ id: "a".repeat(64) as never, name: "n", options, internal: false });

  test("of nobody are ignored, and those that ask for what happens anyway are fine", () => {
    const options = {
      "com.docker.network.bridge.wrong": "x",
      "com.docker.network.bridge.gateway_mode_ipv4": "nat",
      "com.docker.network.bridge.inhibit_ipv4": "false",
      "com.docker.network.bridge.trusted_host_interfaces": "",
    };
    expect(parse(options)).toEqual(parse({}));
  });

  test("have Docker's defaults", () => {
    expect(parse({})).toMatchObject({
      ...{ bridge: "br-aaaaaaaaaaaa", icc: true, masquerade: true, mtu: undefined },
      ...{ interfacePrefix: "eth", bindAddress: undefined },
    });
  });

  test.each([
    [{ "com.docker.network.bridge.name": "a/b" }, "invalid bridge name"],
    [{ "com.docker.network.bridge.name": "sixteen-letters-" }, "invalid bridge name"],
    [{ "com.docker.network.bridge.enable_icc": "maybe" }, "failed to parse"],
    [{ "com.docker.network.driver.mtu": "20" }, "invalid value"],
    [{ "com.docker.network.bridge.gateway_mode_ipv4": "isolated" }, "only be used for an internal network"],
    [{ "com.docker.network.bridge.gateway_mode_ipv6": "bent" }, "unknown gateway mode bent"],
    [{ "com.docker.network.bridge.inhibit_ipv4": "maybe" }, "failed to parse"],
    [{ "com.docker.network.bridge.trusted_host_interfaces": "eth0:a b" }, "invalid value"],
    [{ "com.docker.network.host_ipv6": "10.0.0.1" }, "invalid value"],
  ])("%j are refused", (options, words) => {
    expect(() => parse(options)).toThrow(words);
  });
});
