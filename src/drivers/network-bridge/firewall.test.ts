import { describe, expect, test } from "bun:test";
import { type ElementChange, encodeElementChange, interfaceKey } from "../../linux/netlink-nftables.ts";
import { toRules } from "./firewall.ts";
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

describe("options", () => {
  const parse = (options: Record<string, string>) =>
    parseBridgeOptions({ id: "a".repeat(64) as never, name: "n", options });

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
    [{ "com.docker.network.bridge.wrong": "x" }, "is not supported"],
  ])("%j are refused", (options, words) => {
    expect(() => parse(options)).toThrow(words);
  });
});
