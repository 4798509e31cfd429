import { describe, expect, test } from "bun:test";
import {
  contains,
  findAddress,
  formatAddress,
  formatPrefix,
  fromBytes,
  macOf,
  nextAddress,
  nextSubnet,
  overlaps,
  parseAddress,
  parsePrefix,
  toBytes,
} from "./ipam.ts";

describe("addresses", () => {
  test.each([
    "0.0.0.0",
    "172.17.0.2",
    "255.255.255.255",
    "::",
    "::1",
    "fd00::2",
    "2001:db8:0:1:1:1:1:1",
    "fe80::1:0:0:1",
  ])("%s is read and written back, as text and as bytes", (text) => {
    const address = parseAddress(text);
    expect(formatAddress(address)).toBe(text);
    expect(fromBytes(address.family, toBytes(address))).toEqual(address);
  });

  test("IPv6 is written in its shortest form", () => {
    expect(formatAddress(parseAddress("2001:0DB8:0:0:0:0:0:1"))).toBe("2001:db8::1");
    expect(formatAddress(parseAddress("::ffff:1.2.3.4"))).toBe("::ffff:102:304");
  });

  test.each(["", "1.2.3", "256.1.1.1", "fe80::1%eth0", "host", "1.2.3.4/24"])("%j is no address", (text) => {
    expect(findAddress(text)).toBeUndefined();
  });

  test.each(["10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0/8", "/8"])("%j is no prefix", (text) => {
    expect(() => parsePrefix(text)).toThrow("invalid CIDR address");
  });

  test("a MAC is derived from an address, the same each time", () => {
    expect(macOf(parseAddress("172.17.0.2"))).toBe("02:42:ac:11:00:02");
    expect(macOf(parseAddress("fd00::2"))).toMatch(/^02:42(:[0-9a-f]{2}){4}$/);
  });
});

describe("prefixes", () => {
  test("overlap either way, and not across families", () => {
    expect(overlaps(parsePrefix("10.0.0.0/8"), parsePrefix("10.1.0.0/16"))).toBe(true);
    expect(overlaps(parsePrefix("10.1.0.0/16"), parsePrefix("10.0.0.0/8"))).toBe(true);
    expect(overlaps(parsePrefix("10.1.0.0/16"), parsePrefix("10.2.0.0/16"))).toBe(false);
    expect(overlaps(parsePrefix("0.0.0.0/0"), parsePrefix("::/0"))).toBe(false);
    expect(contains(parsePrefix("172.17.0.1/16"), parseAddress("172.17.255.255"))).toBe(true);
  });
});

describe("choosing addresses", () => {
  const subnet = parsePrefix("10.0.0.0/29");
  const reserved = [parseAddress("10.0.0.1")];

  test("skips network, broadcast, reserved and used ones", () => {
    const used = new Set<bigint>();
    const given: string[] = [];
    for (;;) {
      const next = nextAddress({ subnet, reserved }, used);
      if (!next) break;
      used.add(next.value);
      given.push(formatAddress(next));
    }
    expect(given).toEqual(["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
  });

  test("is the lowest one that is free, also one that was given back", () => {
    const used = new Set(["10.0.0.2", "10.0.0.4"].map((text) => parseAddress(text).value));
    expect(nextAddress({ subnet, reserved }, used)).toEqual(parseAddress("10.0.0.3"));
  });

  test("stays within a range", () => {
    const range = parsePrefix("10.0.0.4/31");
    const used = new Set([parseAddress("10.0.0.4").value]);
    expect(nextAddress({ subnet, range, reserved }, used)).toEqual(parseAddress("10.0.0.5"));
    used.add(parseAddress("10.0.0.5").value);
    expect(nextAddress({ subnet, range, reserved }, used)).toBeUndefined();
  });

  test("takes no time in a huge subnet", () => {
    expect(nextAddress({ subnet: parsePrefix("fd00::/64"), reserved: [] }, new Set())).toEqual(
      parseAddress("fd00::1"),
    );
  });
});

describe("choosing subnets", () => {
  const pools = [
    { base: parsePrefix("172.17.0.0/16"), size: 16 },
    { base: parsePrefix("192.168.0.0/16"), size: 20 },
  ];
  const next = (...taken: string[]) => {
    const subnet = nextSubnet(pools, taken.map(parsePrefix));
    return subnet && formatPrefix(subnet);
  };

  test("gives the first that overlaps nothing", () => {
    expect(next()).toBe("172.17.0.0/16");
    expect(next("172.17.5.0/24")).toBe("192.168.0.0/20");
    expect(next("172.17.0.0/16", "192.168.0.0/24", "192.168.16.1/32")).toBe("192.168.32.0/20");
    expect(next("172.0.0.0/8", "192.168.0.0/16")).toBeUndefined();
  });
});
