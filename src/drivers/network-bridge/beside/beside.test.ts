/** Beside firewalls of others, in namespaces of their own: the suite runs itself there. */
import { describe, expect, test } from "bun:test";
import { eventually } from "../../../../test/support/cli.ts";
import {
  callTcp,
  greetTcp,
  inside,
  NetworkGround,
  type NetworkStack,
  outside,
} from "../../../../test/support/network-stack.ts";
import type { NetworkConfig } from "../../../core/config.ts";
import { readIptables, readNativeRules } from "./chains.ts";

const alone = process.env.GANTRY_TEST_ALONE === "1";

describe.skipIf(alone)("what iptables says", () => {
  test("a chain that forwards drops by its policy, or by a rule for everything", () => {
    const drops = (...rules: string[]) => readIptables(rules.join("\n"), "gantry-1").drops;
    expect(drops("-P FORWARD DROP")).toBe(true);
    expect(drops("-P FORWARD ACCEPT", "-A FORWARD -j REJECT --reject-with icmp-host-prohibited")).toBe(true);
    expect(drops("-P FORWARD ACCEPT", '-A FORWARD -m comment --comment "the end" -j DROP')).toBe(true);
    expect(drops("-P FORWARD ACCEPT", "-A FORWARD -s 10.0.0.0/8 -j DROP", "-P INPUT DROP")).toBe(false);
  });

  test("guests have their place where one is kept, after the administrator's rules", () => {
    const place = (...rules: string[]) => {
      const { owner, place: chain, position } = readIptables(rules.join("\n"), "gantry-1");
      return `${owner} ${chain} ${position}`;
    };
    const user = ["-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -i eth0 -j DROP"];
    expect(place(...user)).toBe("docker DOCKER-USER 2");
    expect(place(...user, "-A DOCKER-USER -j RETURN")).toBe("docker DOCKER-USER 2");
    expect(place("-A ufw-before-forward -j ufw-user-forward")).toBe("ufw ufw-user-forward 1");
    expect(place("-A FORWARD -i x -j ACCEPT")).toBe("iptables FORWARD 1");
    const tagged = '-A FORWARD -m devgroup --src-group 0x1 -m comment --comment "gantry-1" -j ACCEPT';
    expect(readIptables(tagged, "gantry-1").tagged).toEqual([tagged]);
    expect(readIptables(tagged, "gantry-12").tagged).toEqual([]);
  });

  test("a native chain drops at its end as well", () => {
    const rule = (...expr: object[]) => ({ rule: { expr, handle: 3 } });
    const reject = { reject: { type: "icmpx", expr: "admin-prohibited" } };
    expect(readNativeRules([rule(reject)], "t").drops).toBe(true);
    expect(readNativeRules([rule({ match: {} }, reject)], "t").drops).toBe(false);
    expect(readNativeRules([{ rule: { comment: "t", handle: 4 } }], "t").tagged).toEqual([4]);
  });
});

test.skipIf(alone)("a host of its own", () => {
  const again = `mount -t tmpfs none /run && mount -t tmpfs none /var/lib/ufw 2>/dev/null; ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward; exec "$0" test "$1"`;
  const { exitCode, stderr } = Bun.spawnSync(
    ["unshare", "--net", "--mount", "sh", "-c", again, process.execPath, import.meta.path],
    { env: { ...process.env, GANTRY_TEST_ALONE: "1" } },
  );
  if (exitCode !== 0) console.error(stderr.toString().slice(-6000));
  expect(stderr.toString()).toContain(" 0 fail");
  expect(exitCode).toBe(0);
});

/** A host behind the router that the engine's host is. It answers at 10.52.0.2:80. */
async function outsider(stack: NetworkStack): Promise<AsyncDisposable> {
  const sandbox = await stack.start(stack.container("outsider", { NetworkMode: "none" }));
  const descriptor = sandbox.namespacePath.split("/").at(-1);
  await outside(
    `ip link add up1 type veth peer name eth0 netns /proc/${process.pid}/fd/${descriptor} && ip addr add 10.52.0.1/24 dev up1 && ip link set up1 up`,
  );
  await inside(
    sandbox,
    "ip addr add 10.52.0.2/24 dev eth0; ip link set eth0 up; ip route add default via 10.52.0.1",
  );
  const server = greetTcp(sandbox, 80);
  return {
    async [Symbol.asyncDispose]() {
      server[Symbol.dispose]();
      await sandbox[Symbol.asyncDispose]();
      await outside("ip link del up1");
    },
  };
}

/** Runs with a stack and an outsider. What the work leaves of firewalls is swept away. */
async function besides(
  firewall: string,
  work: (stack: NetworkStack) => Promise<void>,
  config: Partial<NetworkConfig> = {},
): Promise<void> {
  expect(await outside(`nft flush ruleset; ${firewall}`)).toBe("");
  await using ground = new NetworkGround();
  const stack = await ground.open(config);
  await stack.networks.sandboxes.recover([]);
  try {
    await using _outsider = await outsider(stack);
    await work(stack);
  } finally {
    stack[Symbol.dispose]();
  }
  expect(await taggedRules()).toEqual([]);
}

/** In chains of others. */
async function taggedRules(): Promise<string[]> {
  return (await outside("nft list ruleset")).split("\n").filter((line) => /comment "?gantry-/.test(line));
}

const reach = (from: Parameters<typeof callTcp>[0]) => callTcp(from, "10.52.0.2", 80);
const DOCKER =
  "iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -I FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -j RETURN";
const forwardChain = (place: string, policy: string, ...rules: string[]) =>
  [
    `nft add table ${place.split(" ").slice(0, 2).join(" ")}`,
    `nft 'add chain ${place} { type filter hook forward priority 10 ; policy ${policy} ; }'`,
    ...rules.map((rule) => `nft add rule ${place} ${rule}`),
  ].join(" && ");
const FIREWALLD = forwardChain(
  ...(["inet firewalld filter_FORWARD", "accept"] as const),
  ...["ct state established,related accept", "ct status dnat accept", "reject with icmpx admin-prohibited"],
);
const NATIVE = forwardChain("inet own routed", "drop");

describe.skipIf(!alone)("beside", () => {
  test.each([
    ["dockerd's chains", DOCKER, "docker ip filter DOCKER-USER"],
    ["a policy of drop", "iptables -P FORWARD DROP", "iptables ip filter FORWARD"],
    ["firewalld's chains", FIREWALLD, "firewalld inet firewalld filter_FORWARD"],
    ["rules of the administrator's own", NATIVE, "nftables inet own routed"],
  ])(
    "%s containers reach the outside, and nothing is left after the last one",
    async (_, firewall, told) => {
      await besides(firewall, async (stack) => {
        {
          await using web = await stack.start(stack.container("web"));
          expect(await reach(web)).toStartWith("hello ");
          expect(stack.driver.neighbours().map(({ owner, place }) => `${owner} ${place}`)).toEqual([told]);
        }
        await eventually(async () => (await taggedRules()).length === 0);
      });
    },
    20_000,
  );

  test("rules that are flushed, and firewalls that come later, are noticed within five seconds", async () => {
    await besides("true", async (stack) => {
      await using web = await stack.start(stack.container("web"));
      expect(await reach(web)).toStartWith("hello ");
      for (const change of [DOCKER, "iptables -F DOCKER-USER", NATIVE, "nft flush chain inet own routed"]) {
        expect(await outside(change)).toBe("");
        await eventually(async () => (await reach(web)).startsWith("hello "), { timeout: 5000 });
      }
    });
  }, 40_000);

  test("the host's own policy is respected on request, and told", async () => {
    await besides(
      "iptables -P FORWARD DROP",
      async (stack) => {
        await using web = await stack.start(stack.container("web"));
        expect(await reach(web)).toBe("timeout");
        expect(stack.driver.neighbours()).toEqual([
          { owner: "iptables", chain: "ip filter FORWARD", place: undefined },
        ]);
      },
      { respectFirewalls: true },
    );
  });

  test.skipIf(!Bun.which("ufw"))(
    "ufw, switched on while a container runs, and reloaded",
    async () => {
      await outside("cp -a /etc/ufw /run/ufw && mount --bind /run/ufw /etc/ufw");
      await besides("true", async (stack) => {
        await using web = await stack.start(stack.container("web"));
        await outside("ufw --force enable");
        expect(await outside("iptables -S FORWARD")).toContain("-P FORWARD DROP");
        await eventually(async () => (await reach(web)).startsWith("hello "), { timeout: 5000 });
        expect(stack.driver.neighbours()[0]?.place).toBe("ip filter ufw-user-forward");
        await outside("ufw reload");
        await eventually(async () => (await reach(web)).startsWith("hello "), { timeout: 5000 });
        await outside("ufw --force disable");
      });
    },
    60_000,
  );
});
