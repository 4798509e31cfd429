/** In network and mount namespaces of its own, where the host is no router yet: the suite runs itself there. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { callTcp, greetTcp, inside, NetworkGround, outside } from "../../../test/support/network-stack.ts";

const alone = process.env.GANTRY_TEST_ALONE === "1";
const forwarding = () => readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim();

test.skipIf(alone)("a host of its own", () => {
  const again = `mount -t tmpfs none /run && echo 0 >/proc/sys/net/ipv4/ip_forward && exec "$0" test "$1"`;
  const { exitCode, stderr } = Bun.spawnSync(
    ["unshare", "--net", "--mount", "sh", "-c", again, process.execPath, import.meta.path],
    { env: { ...process.env, GANTRY_TEST_ALONE: "1" } },
  );
  expect(stderr.toString()).toContain(" 0 fail");
  expect(exitCode).toBe(0);
});

describe.skipIf(!alone)("a host that was no router", () => {
  test("becomes one for containers alone, and none again after the last engine", async () => {
    expect(forwarding()).toBe("0");
    await using ground = new NetworkGround();
    await using otherGround = new NetworkGround();
    const stack = await ground.open();
    await stack.networks.sandboxes.recover([]);
    expect(forwarding()).toBe("1");

    await outside("ip link set lo up");
    const neighbours = [];
    for (const number of [1, 2]) {
      const sandbox = await stack.start(stack.container(`neighbour${number}`, { NetworkMode: "none" }));
      const descriptor = sandbox.namespacePath.split("/").at(-1);
      await outside(
        `ip link add up${number} type veth peer name eth0 netns /proc/${process.pid}/fd/${descriptor} && ip addr add 10.5${number}.0.1/24 dev up${number} && ip link set up${number} up`,
      );
      await inside(
        sandbox,
        `ip addr add 10.5${number}.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.5${number}.0.1`,
      );
      neighbours.push(sandbox);
    }
    const [one, two] = neighbours;
    using _server = greetTcp(two, 80);
    await using web = await stack.start(stack.container("web"));
    expect(await callTcp(undefined, "10.52.0.2", 80)).toStartWith("hello ");
    expect(await callTcp(web, "10.52.0.2", 80)).toBe("hello 10.52.0.1");
    expect(await callTcp(one, "10.52.0.2", 80)).toBe("timeout");

    const other = await otherGround.open();
    await other.networks.sandboxes.recover([]);
    await using theirs = await other.start(other.container("theirs"));
    expect(await callTcp(theirs, "10.52.0.2", 80)).toBe("hello 10.52.0.1");

    for (const sandbox of [...neighbours, web]) await sandbox[Symbol.asyncDispose]();
    stack[Symbol.dispose]();
    expect(forwarding()).toBe("1");
    await theirs[Symbol.asyncDispose]();
    other[Symbol.dispose]();
    expect(forwarding()).toBe("0");
    expect(existsSync("/run/gantry-forwarding")).toBe(false);
    expect(await outside("nft list tables")).toBe("");
  });
});
