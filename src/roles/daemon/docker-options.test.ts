import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkConflicts, readConfigFile } from "./config-file.ts";
import { parseFlags } from "./flags.ts";
import { settingsWithoutEffect, toEngineConfig } from "./settings.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-options-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const environment = { home: "/root", dockerCertPath: undefined };

function given(document: unknown, ...args: string[]) {
  const path = join(directory, "daemon.json");
  writeFileSync(path, JSON.stringify(document));
  const file = readConfigFile(path, true);
  const flags = parseFlags(args);
  checkConflicts(path, file, flags);
  return {
    config: toEngineConfig(flags, file, environment),
    warnings: settingsWithoutEffect({ flags, file }),
  };
}

test("a daemon.json that asks for what is so anyway, or for what is off, is taken without a word", () => {
  const { warnings } = given({
    ipv6: false,
    experimental: false,
    "userns-remap": "",
    "ip-masq": true,
    iptables: true,
    ip6tables: true,
    "ip-forward": true,
    icc: true,
    features: { buildkit: true },
    "max-concurrent-uploads": 5,
    "max-download-attempts": 5,
    "userland-proxy": false,
    "selinux-enabled": false,
    "live-restore": true,
    "exec-opts": ["native.cgroupdriver=cgroupfs"],
    "storage-opts": ["overlay2.override_kernel_check=true"],
    "authorization-plugins": [],
    "no-new-privileges": false,
    "default-ipc-mode": "private",
    "cdi-spec-dirs": [],
    "raw-logs": false,
    "log-format": "text",
    "metrics-addr": "",
    "node-generic-resources": [],
    "api-cors-header": "",
    "network-control-plane-mtu": 1500,
    "seccomp-profile": "",
    proxies: {},
  });
  expect(warnings).toEqual([]);
});

test("the command line of dockerd's own test suites is taken, with warnings for what means nothing here", () => {
  const { warnings } = given(
    {},
    ...["--containerd-namespace", "n", "--containerd-plugins-namespace", "np", "--containerd", "/run/c.sock"],
    ...["--debug", "--userland-proxy=false", "--swarm-default-advertise-addr", "127.0.0.1", "--raw-logs"],
    ...["--feature", "cdi=true", "--cdi-spec-dir", "/x", "--default-ipc-mode=shareable", "-r=true"],
  );
  expect(warnings.map((warning) => warning.split("=")[0])).toEqual([
    "containerd",
    "containerd-namespace",
    "containerd-plugin-namespace",
    "swarm-default-advertise-addr",
  ]);
});

const refused: [Record<string, unknown>, string][] = [
  [{ "fixed-cidr": "nowhere" }, "invalid CIDR address: nowhere"],
  [{ "bridge-accept-fwmark": "x" }, "invalid firewall mark: x"],
  [{ "selinux-enabled": true }, "selinux-enabled=true is not supported"],
  [
    { "exec-opts": ["native.cgroupdriver=systemd"] },
    'exec-opts=["native.cgroupdriver=systemd"] is not supported',
  ],
  [{ "metrics-addr": "0.0.0.0:9323" }, "metrics-addr=0.0.0.0:9323 is not supported"],
  [{ "storage-opts": ["overlay2.size=10G"] }, 'storage-opts=["overlay2.size=10G"] is not supported'],
];
for (const [document, message] of refused) {
  test(`${JSON.stringify(document)} is an error that names key and value`, () => {
    expect(() => given(document)).toThrow(message);
  });
}

test("S20: containers' root cannot be mapped to another user, and a daemon that is to do so does not start", () => {
  expect(() => given({ "userns-remap": "default" })).toThrow("userns-remap=default is not supported");
  expect(() => given({}, "--userns-remap", "somebody:somebody")).toThrow("userns-remap");
  expect(given({ "userns-remap": "" }).warnings).toEqual([]);
});

test("proxies stand in an object of their own in the file, and count for more than the environment", () => {
  const { config } = given({ proxies: { "http-proxy": "http://user:secret@a:1", "no-proxy": "b" } });
  expect(config.registry.proxies).toEqual({ http: "http://user:secret@a:1", https: "", none: "b" });
});

test("features are an object in the file and repeated flags", () => {
  expect(given({ features: { cdi: false } }).config.containers.cdiSpecDirectories).toEqual([]);
  expect(given({}, "--feature", "a", "--feature=b=false").config.features).toEqual({ a: true, b: false });
  expect(() => given({ features: { a: "x" } })).toThrow("features");
});

test("called as dockerd the program takes Docker's socket, file and bridge", () => {
  const config = toEngineConfig(parseFlags([]), {}, { ...environment, calledDockerd: true });
  expect(config.hosts).toEqual(["unix:///var/run/docker.sock"]);
  expect(config.network.bridge).toBe("docker0");
});
