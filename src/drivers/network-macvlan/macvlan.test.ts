/** macvlan and ipvlan upon a veth whose other end is a LAN in a namespace of its own. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../../../test/support/cli.ts";
import {
  ask,
  callTcp,
  greetTcp,
  inside,
  NetworkGround,
  type NetworkStack,
  outside,
} from "../../../test/support/network-stack.ts";
import type { ContainerSandbox } from "../../core/networking.ts";
import { parseParentedOptions } from "./options.ts";

const ground = new NetworkGround();
const parent = `gtp${ground.instance.slice(0, 6)}`;
let stack: NetworkStack;
let lan: ContainerSandbox;
let lanServer: Disposable;

beforeAll(async () => {
  stack = await ground.open();
  await stack.networks.sandboxes.recover([]);
  lan = await stack.start(stack.container("lan", { NetworkMode: "none" }));
  const descriptor = lan.namespacePath.split("/").at(-1);
  await outside(
    `ip link add ${parent} type veth peer name up0 netns /proc/${process.pid}/fd/${descriptor} && ip link set ${parent} up`,
  );
  await inside(lan, "ip addr add 10.53.0.1/24 dev up0; ip link set up0 up");
  lanServer = greetTcp(lan, 80);
});
afterAll(async () => {
  lanServer[Symbol.dispose]();
  await lan[Symbol.asyncDispose]();
  await outside(`ip link del ${parent}`);
  stack[Symbol.dispose]();
  await ground[Symbol.asyncDispose]();
});

const LAN = {
  IPAM: { Config: [{ Subnet: "10.53.0.0/24", IPRange: "10.53.0.128/25", Gateway: "10.53.0.1" }] },
};

function create(name: string, options: Record<string, string> = { parent }, more: object = LAN) {
  return stack.networks.create({ Name: name, Driver: "macvlan", Options: options, ...more });
}

function start(name: string, network: string, settings: object = {}) {
  return stack.start(stack.container(name, { NetworkMode: network }, { [network]: settings }));
}

test("containers are hosts of the LAN: they reach it under their own addresses, each other, and by name", async () => {
  await create("lan");
  await using one = await start("one", "lan", { MacAddress: "02:00:00:00:00:11" });
  await using two = await start("two", "lan");
  expect(one.endpoints.lan?.IPAddress).toBe("10.53.0.128");
  expect(await callTcp(one, "10.53.0.1", 80)).toBe("hello 10.53.0.128");
  expect(await inside(one, "ip -o link show eth0; ip route")).toMatch(
    /02:00:00:00:00:11.*default via 10\.53\.0\.1/s,
  );
  using _server = greetTcp(two, 81);
  expect(await callTcp(one, two.endpoints.lan?.IPAddress ?? "", 81)).toBe("hello 10.53.0.128");
  expect(await callTcp(lan, two.endpoints.lan?.IPAddress ?? "", 81)).toBe("hello 10.53.0.1");
  expect((await ask(one, "two"))?.addresses).toEqual([two.endpoints.lan?.IPAddress ?? ""]);
  for (const sandbox of [one, two]) await sandbox[Symbol.asyncDispose]();
  await stack.networks.remove("lan");
});

test("a running container comes to the LAN and leaves it", async () => {
  await create("later");
  await using web = await stack.start(stack.container("web"));
  await stack.networks.connect("later", "web", {});
  expect(await callTcp(web, "10.53.0.1", 80)).toBe("hello 10.53.0.128");
  await stack.networks.disconnect("later", "web", false);
  expect(await inside(web, "ip -o link")).not.toContain("eth1");
  await stack.networks.remove("later");
});

test("private links do not see each other; passthru takes one endpoint and no other network", async () => {
  await create("secluded", { parent, macvlan_mode: "private" });
  await using one = await start("one", "secluded");
  await using two = await start("two", "secluded");
  {
    using _server = greetTcp(two, 81);
    expect(await callTcp(one, two.endpoints.secluded?.IPAddress ?? "", 81)).toBe("timeout");
  }
  expect(await callTcp(one, "10.53.0.1", 80)).toStartWith("hello ");
  await expect(create("whole", { parent, macvlan_mode: "passthru" }, {})).rejects.toThrow(
    "shares it with nobody",
  );
  for (const sandbox of [one, two]) await sandbox[Symbol.asyncDispose]();
  await stack.networks.remove("secluded");
  // Links of namespaces that are gone go in the kernel's own time.
  await eventually(() =>
    create("whole", { parent, macvlan_mode: "passthru" }).then(
      () => true,
      () => false,
    ),
  );
  await using all = await start("all", "whole");
  await expect(start("more", "whole")).rejects.toThrow("takes one endpoint only");
  await all[Symbol.asyncDispose]();
  await stack.networks.remove("whole");
});

test("without a parent a network leads nowhere, and its link goes with it", async () => {
  const { id } = await create("closed", {}, {});
  const link = `dm-${id.slice(0, 12)}`;
  expect(stack.networks.inspect("closed").Internal).toBe(true);
  await using one = await start("one", "closed");
  await using two = await start("two", "closed");
  using _server = greetTcp(two, 81);
  expect(await callTcp(one, two.endpoints.closed?.IPAddress ?? "", 81)).toStartWith("hello ");
  expect(await inside(one, "ip route")).not.toContain("default");
  for (const sandbox of [one, two]) await sandbox[Symbol.asyncDispose]();
  expect(await outside(`ip -o link show ${link}`)).toContain(link);
  await stack.networks.remove("closed");
  expect(await outside(`ip -o link show ${link}`)).toContain("does not exist");
});

test("parents that are not there, and kinds that the kernel has not, are named at create", async () => {
  await expect(create("nowhere", { parent: "gtnone9" })).rejects.toThrow(
    "parent interface gtnone9 was not found on the host",
  );
  await expect(create("nowhere", { parent: "gtnone9.10" })).rejects.toThrow(
    "parent interface gtnone9 of gtnone9.10 was not found on the host",
  );
  const outcome = async (creation: Promise<{ id: string }>) => {
    try {
      const { id } = await creation;
      await stack.networks.remove(id);
      return "made";
    } catch (error) {
      return String(error);
    }
  };
  const kernelHas = async (more: string) =>
    (await outside(`ip link add link ${parent} name gtpx ${more} && ip link del gtpx`)) === "";
  const ipvlan = stack.networks.create({ Name: "ip", Driver: "ipvlan", Options: { parent }, ...LAN });
  expect(await outcome(ipvlan)).toContain(
    (await kernelHas("type ipvlan mode l2")) ? "made" : "this kernel has no ipvlan",
  );
  expect(await outcome(create("tagged", { parent: `${parent}.7` }))).toContain(
    (await kernelHas("type vlan id 7")) ? "made" : "this kernel has no VLANs (8021q)",
  );
});

test("modes and parents are checked in Docker's words", () => {
  const parse = (options: Record<string, string>, kind: "macvlan" | "ipvlan" = "macvlan") =>
    parseParentedOptions(kind, { id: "a".repeat(64) as never, options });
  expect(parse({ parent: "eth0.10" })).toMatchObject({
    vlan: { of: "eth0", id: 10 },
    link: { mode: "bridge" },
  });
  expect(parse({}).parent).toBe("dm-aaaaaaaaaaaa");
  expect(() => parse({ macvlan_mode: "x" })).toThrow(
    "requested macvlan mode 'x' is not valid, 'bridge' mode is the macvlan driver default",
  );
  expect(() => parse({ ipvlan_mode: "x" }, "ipvlan")).toThrow("'l2' mode is the ipvlan driver default");
  expect(() => parse({ parent: "lo" })).toThrow("loopback interface is not a valid macvlan parent link");
});

test("a daemon that comes later takes endpoints over, and removes parents that belong to no network", async () => {
  await create("kept", {}, {});
  const one = await start("one", "kept");
  const record = stack.records.get(one.id);
  if (!record) throw new Error("no record");
  stack[Symbol.dispose]();
  await outside(
    `ip link add gtporphan type bridge && ip link set gtporphan alias "gantry-parent-${ground.instance} macvlan gone"`,
  );
  stack = await ground.open();
  stack.records.set(one.id, record);
  const running = { ...record, state: { ...record.state, pid: process.pid } };
  const [again] = (await stack.networks.sandboxes.recover([running])).values();
  expect(again?.endpoints.kept?.IPAddress).toBe(one.endpoints.kept?.IPAddress);
  expect(await outside("ip -o link show gtporphan")).toContain("does not exist");
  await expect(stack.networks.remove("kept")).rejects.toThrow("has active endpoints");
  await again?.[Symbol.asyncDispose]();
  await stack.networks.remove("kept");
});
