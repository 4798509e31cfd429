/**
 * Programs of other makers that tests run: the Go registry, skopeo, mmdebstrap, a docker client, and for the oracle
 * dockerd. What would start a service when installed is unpacked into a cache instead.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages, isPackage, unpackPackages } from "./apt.mjs";
import { fail, findProgram } from "./host.mjs";

/** Tools without a service. */
const tools = {
  skopeo: "skopeo",
  mmdebstrap: "mmdebstrap",
  setcap: "libcap2-bin",
  getfattr: "attr",
  openssl: "openssl",
  runc: "runc",
  "/usr/lib/postgresql": "postgresql",
};

export const cache = process.env.GANTRY_TEST_CACHE ?? "/var/cache/gantry-test";

/** @returns environment variables by which tests find the peers */
export function ensurePeers({ oracle }) {
  ensurePackages(tools);
  if (oracle) ensurePackages({ dockerd: "docker.io", containerd: "containerd", iptables: "iptables" });
  return {
    GANTRY_TEST_CACHE: cache,
    GANTRY_TEST_REGISTRY: peer("docker-registry", ["docker-registry"]),
    GANTRY_TEST_DOCKER: peer("docker", ["docker-cli", "docker.io"]),
  };
}

/** The program on PATH, or unpacked from the first of its packages that this distribution has. */
function peer(program, packages) {
  const installed = findProgram(program);
  if (installed) return installed;
  const unpackedFrom = (name) => join(cache, "peers", name, "usr/bin", program);
  const there = packages.map(unpackedFrom).find((path) => existsSync(path));
  if (there) return there;
  const name = packages.find(isPackage) ?? packages.at(-1);
  unpackPackages([name], join(cache, "peers", name));
  if (!existsSync(unpackedFrom(name))) fail(`The package ${name} has no ${program}.`);
  return unpackedFrom(name);
}
