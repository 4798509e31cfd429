/**
 * Programs of other makers that tests run: the Go registry, skopeo, mmdebstrap, a docker client, and for the oracle
 * dockerd. What would start a service when installed is unpacked into a cache instead.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ensurePackages, fail, findProgram, unpackPackages } from "./host.mjs";

/** Tools without a service. */
const tools = {
  skopeo: "skopeo",
  mmdebstrap: "mmdebstrap",
  setcap: "libcap2-bin",
  getfattr: "attr",
  openssl: "openssl",
  runc: "runc",
};

export const cache = process.env.GANTRY_TEST_CACHE ?? "/var/cache/gantry-test";

/** @returns environment variables by which tests find the peers */
export function ensurePeers({ oracle }) {
  ensurePackages(tools);
  if (oracle) ensurePackages({ dockerd: "docker.io", containerd: "containerd", iptables: "iptables" });
  return {
    GANTRY_TEST_CACHE: cache,
    GANTRY_TEST_REGISTRY: peer("docker-registry", "docker-registry"),
    GANTRY_TEST_DOCKER: peer("docker", "docker.io"),
  };
}

/** The program on PATH, or unpacked from its package. */
function peer(program, name) {
  const installed = findProgram(program);
  if (installed) return installed;
  const directory = join(cache, "peers", name);
  const unpacked = join(directory, "usr/bin", program);
  if (!existsSync(unpacked)) unpackPackages([name], directory);
  if (!existsSync(unpacked)) fail(`The package ${name} has no ${program}.`);
  return unpacked;
}
