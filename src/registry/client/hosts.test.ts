import { expect, test } from "bun:test";
import { parseChallenges } from "./challenge.ts";
import { hostsOf, isInsecure, sameOwner } from "./hosts.ts";

const config = {
  insecureRegistries: ["10.1.0.0/16", "reg.local:5000", "plain.local"],
  mirrors: ["https://m.example"],
};

test("loopback and what is listed is insecure, nothing else", () => {
  const insecure = [
    "localhost:5000",
    "127.0.0.1:1",
    "127.9.9.9",
    "[::1]:5000",
    "10.1.2.3:5000",
    "reg.local:5000",
    "plain.local:1",
  ];
  const secure = [
    "10.2.0.1",
    "reg.local:5001",
    "quay.io",
    "127.0.0.1.example.com",
    "localhost.example.com",
    "[::2]:5000",
  ];
  expect(insecure.map((host) => isInsecure(host, config))).toEqual(insecure.map(() => true));
  expect(secure.map((host) => isInsecure(host, config))).toEqual(secure.map(() => false));
});

test("only Docker Hub has mirrors", () => {
  expect(hostsOf("docker.io", config).map((host) => host.address)).toEqual([
    "m.example",
    "registry-1.docker.io",
  ]);
  expect(hostsOf("quay.io", config).map((host) => host.address)).toEqual(["quay.io"]);
});

test("a token service may be of the registry's owner, and of no one else", async () => {
  expect(await sameOwner("registry-1.docker.io", "auth.docker.io")).toBe(true);
  expect(await sameOwner("ghcr.io", "ghcr.io")).toBe(true);
  expect(await sameOwner("127.0.0.1:5000", "127.0.0.1:5001")).toBe(true);
  expect(await sameOwner("registry.example.co.uk", "evil.co.uk")).toBe(false);
  expect(await sameOwner("registry.example.co.uk", "auth.example.co.uk")).toBe(true);
  expect(await sameOwner("registry.example.com.br:5000", "auth.example.com.br")).toBe(true);
  expect(await sameOwner("registry.example.kyoto.jp", "evil.kyoto.jp")).toBe(false);
  expect(await sameOwner("somebody.github.io", "evil.github.io")).toBe(false);
  expect(await sameOwner("co.uk", "evil.co.uk")).toBe(false);
  expect(await sameOwner("registry.corp.internal", "auth.corp.internal")).toBe(true);
  expect(await sameOwner("127.0.0.1", "127.1.0.1")).toBe(false);
  expect(await sameOwner("[2001:db8::1]:5000", "[2001:db8::2]:5000")).toBe(false);
  expect(await sameOwner("docker.io", "docker.io.evil.com")).toBe(false);
  expect(await sameOwner("localhost", "otherhost")).toBe(false);
});

test("challenges are read whatever their spacing and quoting", () => {
  expect(
    parseChallenges('Bearer realm="https://a/t",service="s, \\"x\\"" , scope=a:b:c, Basic realm=x'),
  ).toEqual([{ scheme: "bearer", parameters: { realm: "https://a/t", service: 's, "x"' } }]);
  expect(parseChallenges('Basic realm="x", Bearer realm="y",service="z"')).toEqual([
    { scheme: "basic", parameters: { realm: "x" } },
    { scheme: "bearer", parameters: { realm: "y", service: "z" } },
  ]);
  expect(parseChallenges("")).toEqual([]);
  expect(parseChallenges("Negotiate")).toEqual([{ scheme: "negotiate", parameters: {} }]);
});
