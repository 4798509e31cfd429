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
    ...buildClients(),
  };
}

/**
 * Clients of BuildKit's protocol that no distribution has in these versions: taken from PATH or from the cache, where
 * `go build github.com/docker/buildx/cmd/buildx` and `…/compose/v5/cmd` may put them. Tests of those that are not there
 * are skipped.
 */
function buildClients() {
  const found = (program) => findProgram(program) ?? join(cache, "peers/go", program);
  return {
    GANTRY_TEST_BUILDX: found("buildx"),
    GANTRY_TEST_COMPOSE: found("docker-compose-v5"),
    GANTRY_TEST_DOCKER_20: found("docker-20.10"),
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
