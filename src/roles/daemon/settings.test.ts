import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineConfig } from "../../core/config.ts";
import { checkConflicts, readConfigFile } from "./config-file.ts";
import { parseFlags, UsageError, usage } from "./flags.ts";
import { OPTIONS } from "./options.ts";
import { settingsWithoutEffect, toEngineConfig } from "./settings.ts";

const environment = { home: "/root", dockerCertPath: undefined };

function configOf(...args: string[]): EngineConfig {
  return toEngineConfig(parseFlags(args), {}, environment);
}

describe("the daemon's flags", () => {
  const spellings: [string, string[], [string, unknown]][] = [
    ["--name value", ["--mtu", "1400"], ["mtu", 1400]],
    ["--name=value", ["--mtu=1400"], ["mtu", 1400]],
    ["-N value", ["-H", "unix:///x"], ["host", ["unix:///x"]]],
    ["-Nvalue", ["-Hunix:///x"], ["host", ["unix:///x"]]],
    ["-N=value", ["-H=unix:///x"], ["host", ["unix:///x"]]],
    ["repeated", ["-H", "fd://", "--host=tcp://:1"], ["host", ["fd://", "tcp://:1"]]],
    ["a switch", ["--tlsverify"], ["tlsverify", true]],
    ["a switch that is off", ["--live-restore=false"], ["live-restore", false]],
    ["short ones together", ["-Dl", "warn"], ["log-level", "warn"]],
    ["a value with an equals sign", ["--label=a=b=c"], ["label", ["a=b=c"]]],
    ["the last one wins", ["--bip", "1.1.1.1/24", "--bip", "2.2.2.2/24"], ["bip", "2.2.2.2/24"]],
  ];
  for (const [title, args, [flag, value]] of spellings) {
    test(title, () => expect(parseFlags(args).get(flag)).toEqual(value as never));
  }

  const errors: [string[], string][] = [
    [["--frobnicate"], "unknown flag: --frobnicate"],
    [["-Z"], "unknown shorthand flag: 'Z' in -Z"],
    [["--host"], "flag needs an argument: --host"],
    [["-H"], "flag needs an argument: 'H' in -H"],
    [["--mtu", "x"], 'invalid argument "x" for "--mtu" flag: strconv.ParseInt: parsing "x": invalid syntax'],
    [
      ["--debug=maybe"],
      'invalid argument "maybe" for "--debug" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    [["start"], "accepts no arguments"],
  ];
  for (const [args, message] of errors) {
    test(`${args.join(" ")} is refused`, () => {
      expect(() => parseFlags(args)).toThrow(UsageError);
      expect(() => parseFlags(args)).toThrow(message);
    });
  }

  test("every flag stands in --help", () => {
    for (const { flag } of OPTIONS) expect(usage()).toContain(`--${flag}`);
  });
});

describe("the configuration", () => {
  test("without flags is complete", () => {
    const config = configOf();
    expect(config.hosts).toEqual(["unix:///run/gantry/gantry.sock"]);
    expect(config.paths.dataRoot).toBe("/var/lib/gantry");
    expect(config.paths.instance).toMatch(/^[0-9a-f]{8}$/);
    expect(config.containers.shmSize).toBe(64 << 20);
    expect(config.network.publishAddress).toBe("0.0.0.0");
    expect(config.tls).toBeUndefined();
  });

  test("two data roots are two instances", () => {
    expect(configOf("--data-root", "/a").paths.instance).not.toBe(
      configOf("--data-root", "/b").paths.instance,
    );
  });

  test("hosts get their defaults", () => {
    expect(
      configOf("-H", "unix://", "-H", "tcp://", "-H", "tcp://0.0.0.0", "-H", "tcp://[::1]:99", "-H", "fd://")
        .hosts,
    ).toEqual([
      "unix:///run/gantry/gantry.sock",
      "tcp://127.0.0.1:2375",
      "tcp://0.0.0.0:2375",
      "tcp://[::1]:99",
      "fd://",
    ]);
    expect(configOf("--tls", "-H", "tcp://:").hosts).toEqual(["tcp://127.0.0.1:2376"]);
  });

  test("TLS files default to the user's", () => {
    expect(configOf("--tlsverify", "--tlskey", "/k").tls).toEqual({
      verify: true,
      ca: "/root/.docker/ca.pem",
      cert: "/root/.docker/cert.pem",
      key: "/k",
    });
    expect(configOf("--tls").tls?.verify).toBe(false);
  });

  test("values are parsed", () => {
    const config = configOf(
      ...["--default-ulimit", "nofile=1024:2048", "--default-ulimit", "core=-1"],
      ...["--default-address-pool", "base=10.10.0.0/16,size=24", "--default-shm-size", "1.5g"],
      ...["--add-runtime", "mine=/opt/runc", "--default-runtime", "mine", "--log-opt", "max-size=1m"],
      ...[
        "--registry-mirror",
        "https://mirror.example",
        "--insecure-registry",
        "10.0.0.0/8",
        "--insecure-registry",
        "reg:5000",
      ],
      ...[
        "--label",
        "a=b",
        "--label",
        "a=b",
        "--dns",
        "1.1.1.1",
        "--dns-search",
        "example.org",
        "--init",
        "--mtu",
        "1400",
      ],
    );
    expect(config.containers.ulimits).toEqual([
      { Name: "nofile", Soft: 1024, Hard: 2048 },
      { Name: "core", Soft: -1, Hard: -1 },
    ]);
    expect(config.network.addressPools).toEqual([{ base: "10.10.0.0/16", size: 24 }]);
    expect(config.containers.shmSize).toBe(1.5 * 2 ** 30);
    expect(config.containers.runtimes).toEqual({ mine: { path: "/opt/runc", args: [] } });
    expect(config.containers.logOptions).toEqual({ "max-size": "1m" });
    expect(config.registry).toEqual({
      insecureRegistries: ["10.0.0.0/8", "reg:5000"],
      mirrors: ["https://mirror.example/"],
      hostDirectories: ["/etc/gantry/hosts.d", "/etc/docker/certs.d"],
      maxAttempts: 5,
      proxies: { http: "", https: "", none: "" },
    });
    expect(config.labels).toEqual(["a=b"]);
    expect(config.containers.init).toBe(true);
    expect(config.network.mtu).toBe(1400);
  });

  const refused: [string[], string][] = [
    [["--label", "x"], "bad attribute format: x"],
    [["--label", "a=1", "--label", "a=2"], "conflict labels for a=2 and a=1"],
    [["--dns", "1.2"], "1.2 is not an ip address"],
    [["--log-level", "loud"], "invalid logging level: loud"],
    [["--default-ulimit", "foo=1"], "invalid ulimit type: foo"],
    [["--default-ulimit", "nofile=x"], "invalid ulimit argument: nofile=x"],
    [["--default-ulimit", "nofile=5:4"], "ulimit soft limit must be less than or equal to hard limit: 5 > 4"],
    [["--insecure-registry", "http://x"], "should not contain '://'"],
    [["--registry-mirror", "ftp://x"], 'unsupported scheme "ftp"'],
    [["--default-runtime", "other"], "specified default runtime 'other' does not exist"],
    [["--add-runtime", "runc=/x"], "runtime name 'runc' is reserved"],
    [["--default-address-pool", "base=10.0.0.0/16"], "invalid size for address pool"],
    [["--default-address-pool", "base=10.0.0.0,size=24"], "invalid CIDR address: 10.0.0.0"],
    [["--bip", "10.0.0.1"], "invalid CIDR address: 10.0.0.1"],
    [["--bridge", "none", "--bip", "10.0.0.1/24"], "--bip cannot be used"],
    [["-H", "ftp://x"], "invalid bind address format: ftp://x"],
    [["-H", "unix://relative"], "invalid unix socket path"],
    [["-H", "tcp://1:2:3"], "invalid bind address"],
    [["--storage-driver", "zfs"], "only overlay2 is built in"],
    [["--default-shm-size", "lots"], "invalid size: 'lots'"],
    [["--mtu", "-1"], "invalid default MTU: -1"],
  ];
  for (const [args, message] of refused) {
    test(`${args.join(" ")} is refused`, () => expect(() => configOf(...args)).toThrow(message));
  }

  test("what has no effect is said", () => {
    const flags = parseFlags(["--iptables=false", "--live-restore=false"]);
    expect(settingsWithoutEffect({ flags, file: {} })).toHaveLength(2);
    expect(settingsWithoutEffect({ flags: parseFlags(["--live-restore", "--iptables"]), file: {} })).toEqual(
      [],
    );
  });
});

describe("daemon.json", () => {
  let directory: string;
  let path: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "gantry-config-"));
    path = join(directory, "daemon.json");
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  function fileOf(text: string) {
    writeFileSync(path, text);
    return readConfigFile(path, true);
  }

  test("sets what flags set", () => {
    const file = fileOf(
      JSON.stringify({
        "data-root": "/d",
        hosts: ["unix:///s"],
        labels: ["a=b"],
        debug: true,
        mtu: 1300,
        "log-opts": { "max-size": "1m" },
        "default-ulimits": { nofile: { Name: "nofile", Hard: 20, Soft: 10 } },
        "default-address-pools": [{ base: "10.1.0.0/16", size: 24 }],
        runtimes: { mine: { path: "/opt/r", runtimeArgs: ["--x"] } },
        "shutdown-timeout": 3,
      }),
    );
    const config = toEngineConfig(new Map(), file, environment);
    expect(config.paths.dataRoot).toBe("/d");
    expect(config.hosts).toEqual(["unix:///s"]);
    expect(config.logLevel).toBe("debug");
    expect(config.network).toMatchObject({ mtu: 1300, addressPools: [{ base: "10.1.0.0/16", size: 24 }] });
    expect(config.containers.ulimits).toEqual([{ Name: "nofile", Soft: 10, Hard: 20 }]);
    expect(config.containers.runtimes).toEqual({ mine: { path: "/opt/r", args: ["--x"] } });
    expect(config.shutdownTimeout).toBe(3);
  });

  test("an unknown key is an error that names it", () => {
    expect(() => fileOf('{"foo": 1, "debug": true}')).toThrow(
      `unable to configure the Docker daemon with file ${path}: the following directives don't match any configuration option: foo`,
    );
  });

  test("a wrong type, no JSON, no object are errors", () => {
    for (const text of [
      '{"mtu": "x"}',
      "{",
      "[]",
      '{"labels": "a=b"}',
      '{"runtimes": []}',
      '{"hosts": [1]}',
    ]) {
      expect(() => fileOf(text)).toThrow("unable to configure the Docker daemon with file");
    }
  });

  test("an empty file is fine", () => expect(fileOf("")).toEqual({}));

  test("it must exist only if it was asked for", () => {
    expect(readConfigFile(join(directory, "absent"), false)).toEqual({});
    expect(() => readConfigFile(join(directory, "absent"), true)).toThrow("no such file or directory");
  });

  test("an option in both places is an error in dockerd's words", () => {
    const file = fileOf('{"labels": ["a=b"], "bip": "1.2.3.4/24", "mtu": 5}');
    const flags = parseFlags(["--label", "c=d", "--label", "e=f", "--bip", "5.6.7.8/24"]);
    expect(() => checkConflicts(path, file, flags)).toThrow(
      "the following directives are specified both as a flag and in the configuration file: " +
        "bip: (from flag: 5.6.7.8/24, from file: 1.2.3.4/24), labels: (from flag: [c=d e=f], from file: [a=b])",
    );
    checkConflicts(path, file, parseFlags(["--debug"]));
  });
});
