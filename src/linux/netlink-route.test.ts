import { describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { settleLink } from "./link-state.ts";
import { currentNamespacePath, withNamespace, withNewNamespace } from "./namespaces.ts";
import { encodeMessage, type NetlinkMessage } from "./netlink.ts";
import {
  encodeAddAddress,
  encodeAddRoute,
  encodeCreateBridge,
  encodeCreateVeth,
  encodeForwardingEntry,
  encodePortFlags,
  encodeSetLink,
  RouteSocket,
} from "./netlink-route.ts";

const hex = (message: NetlinkMessage) => encodeMessage(message, 1, 5).toString("hex");
const address = (text: string, length: number) =>
  ({ family: 4, bytes: Uint8Array.from(text.split(".").map(Number)), length }) as const;

describe("messages, byte for byte", () => {
  test("add an address: header, ifaddrmsg with NODAD, local, address, broadcast", () => {
    expect(hex(encodeAddAddress(2, address("10.0.0.1", 24)))).toBe(
      "30000000" +
        "1400" +
        "0506" +
        "01000000" +
        "00000000" + // length, RTM_NEWADDR, flags, sequence, port
        "02180200" +
        "02000000" + // AF_INET, /24, NODAD, universe, index 2
        "08000200" +
        "0a000001" +
        "08000100" +
        "0a000001" +
        "08000400" +
        "0a0000ff",
    );
  });

  test("a default route: header, rtmsg in the main table, gateway, link", () => {
    const gateway = { family: 4, bytes: Uint8Array.of(10, 0, 0, 1) } as const;
    expect(hex(encodeAddRoute({ family: 4, gateway, index: 3 }))).toBe(
      "2c000000" +
        "1800" +
        "0506" +
        "01000000" +
        "00000000" +
        "02000000" +
        "fe030001" +
        "00000000" +
        "08000500" +
        "0a000001" +
        "08000400" +
        "03000000",
    );
  });

  test("a link goes up: ifinfomsg with flag and mask", () => {
    expect(hex(encodeSetLink(5, { up: true }))).toBe(
      "20000000" +
        "1300" +
        "0500" +
        "01000000" +
        "00000000" +
        "00000000" +
        "05000000" +
        "01000000" +
        "01000000",
    );
  });

  test("a forwarding entry of a bridge: ndmsg NTF_MASTER and NTF_STICKY, NUD_NOARP, MAC", () => {
    expect(hex(encodeForwardingEntry(7, "02:42:0a:00:00:02"))).toBe(
      "28000000" +
        "1c00" +
        "0505" +
        "01000000" +
        "00000000" +
        "07000000" +
        "07000000" +
        "40004400" +
        "0a000200" +
        "02420a000002" +
        "0000",
    );
  });

  test("a MAC that is none is refused", () => {
    expect(() => encodeForwardingEntry(7, "02:42")).toThrow("EINVAL");
  });
});

/** Runs in a network namespace of its own, which is gone afterwards. */
function inNewNamespace<T>(work: (route: RouteSocket) => T): T {
  return withNewNamespace("net", () => {
    using route = RouteSocket.open();
    return work(route);
  });
}

describe("against the kernel", () => {
  test("a bridge with a veth whose peer is born in another namespace under its final name", () => {
    inNewNamespace((route) => {
      route.apply("create", encodeCreateBridge({ name: "gtnb", mac: "02:42:0a:00:00:01", group: 7 }));
      const bridge = route.getLink("gtnb");
      route.apply(
        "configure",
        encodeSetLink(bridge.index, { up: true, alias: "mine", mtu: 1400 }),
        encodeAddAddress(bridge.index, address("10.0.0.1", 24)),
      );
      const namespace = withNewNamespace("net", () => openSync(currentNamespacePath("net"), "r"));
      try {
        const peer = { name: "eth0", mac: "02:42:0a:00:00:02", namespace };
        route.apply("create", encodeCreateVeth({ name: "gvx", mtu: 1400, master: bridge.index, peer }));
        withNamespace("net", `/proc/self/fd/${namespace}`, () => {
          using inside = RouteSocket.open();
          const { index, mac, mtu } = inside.getLink("eth0");
          expect([mac, mtu]).toEqual(["02:42:0a:00:00:02", 1400]);
          const gateway = { family: 4, bytes: Uint8Array.of(10, 0, 0, 1) } as const;
          inside.apply(
            "up",
            encodeAddAddress(index, address("10.0.0.2", 24)),
            encodeSetLink(index, { up: true }),
            encodeAddRoute({ family: 4, gateway, index }),
          );
          expect(
            inside.routes().find(({ destination, family }) => !destination && family === 4)?.gateway?.bytes,
          ).toEqual(Buffer.of(10, 0, 0, 1));
        });
        expect(settleLink("gvx")).toBe(true);
        const port = route.getLink("gvx");
        expect(port).toMatchObject({ kind: "veth", up: true, master: bridge.index });
        route.apply(
          "port",
          encodePortFlags(port.index, { isolated: true, hairpin: true }),
          encodeForwardingEntry(port.index, "02:42:0a:00:00:02"),
        );
        expect(route.getLink("gtnb")).toMatchObject({ kind: "bridge", alias: "mine", up: true, mtu: 1400 });
        expect(route.deleteLink("gtnb")).toBe(true);
        expect(route.deleteLink("gtnb")).toBe(false);
        expect(route.getLink("gvx").master).toBe(0);
      } finally {
        closeSync(namespace);
      }
    });
  });

  test("a refusal carries the kernel's own words, and errno by name", () => {
    inNewNamespace((route) => {
      const { index } = route.getLink("lo");
      const add = encodeAddAddress(index, address("10.0.0.1", 24));
      route.apply("add address", add);
      expect(() => route.apply("add address", add)).toThrow(
        "add address (ipv4: Address already assigned): EEXIST",
      );
      expect(() => route.getLink("nope")).toThrow("ENODEV");
      expect(route.findLink("nope")).toBeUndefined();
    });
  });
});
