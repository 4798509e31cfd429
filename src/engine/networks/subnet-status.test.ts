import { expect, test } from "bun:test";
import { parseAddress } from "../../core/ipam.ts";
import { subnetStatus } from "./subnet-status.ts";

const used = (...addresses: string[]) => new Set(addresses.map((text) => parseAddress(text).value));

test("what is in use or reserved is counted in the subnet, what is left in the range", () => {
  const v4 = {
    subnet: "192.168.0.0/24",
    ipRange: "192.168.0.64/31",
    gateway: "192.168.0.1",
    auxiliaryAddresses: { a: "192.168.0.65", b: "192.168.0.128" },
  };
  expect(subnetStatus(v4, used())).toEqual({ IPsInUse: 5, DynamicIPsAvailable: 1 });
  expect(subnetStatus(v4, used("192.168.0.64", "10.0.0.1"))).toEqual({ IPsInUse: 6, DynamicIPsAvailable: 0 });
  expect(subnetStatus(v4, used("192.168.0.64", "192.168.0.129")).IPsInUse).toBe(7);
  const v6 = {
    subnet: "2001:db8:abcd::/64",
    ipRange: "2001:db8:abcd::/120",
    gateway: "2001:db8:abcd::1",
    auxiliaryAddresses: { a: "2001:db8:abcd::2a", b: "2001:db8:abcd::8000" },
  };
  expect(subnetStatus(v6, used())).toEqual({ IPsInUse: 4, DynamicIPsAvailable: 253 });
  expect(subnetStatus(v6, used("2001:db8:abcd::2", "2001:db8:abcd::9000"))).toEqual({
    IPsInUse: 6,
    DynamicIPsAvailable: 252,
  });
});

test("large subnets are counted exactly, as far as 64 bits go", () => {
  expect(subnetStatus({ subnet: "fd00::/64" }, used())).toEqual({
    IPsInUse: 1,
    DynamicIPsAvailable: 2n ** 64n - 1n,
  });
  expect(subnetStatus({ subnet: "fd00::/48" }, used()).DynamicIPsAvailable).toBe(2n ** 64n - 1n);
  expect(subnetStatus({ subnet: "10.0.0.0/31" }, used())).toEqual({ IPsInUse: 0, DynamicIPsAvailable: 2 });
});
