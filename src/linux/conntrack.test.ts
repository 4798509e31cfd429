/** In a network namespace of its own, whose flows are known one by one. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { inside } from "../../test/support/network-stack.ts";
import { deleteFlowsTo, type FlowDestination } from "./conntrack.ts";
import { currentNamespacePath, withNamespace, withNewNamespace } from "./namespaces.ts";

const PORT = 5300;
const ADDRESS = "198.51.100.1";
const OTHER_ADDRESS = "198.51.100.2";
const ELSEWHERE = "203.0.113.9";

const bytes = (address: string) => Buffer.from(address.split(".").map(Number));
let place: { namespacePath: string; descriptor: number };

beforeAll(async () => {
  const descriptor = withNewNamespace("net", () => openSync(currentNamespacePath("net"), "r"));
  place = { namespacePath: `/proc/${process.pid}/fd/${descriptor}`, descriptor };
  const made = await inside(
    place,
    `set -e
    ip link set lo up; ip addr add ${ADDRESS}/32 dev lo; ip addr add ${OTHER_ADDRESS}/32 dev lo; ip addr add fd00::1/128 dev lo nodad
    ip link add up0 type bridge; ip addr add 203.0.113.1/24 dev up0; ip link set up0 up
    ip neigh add ${ELSEWHERE} lladdr 02:00:00:00:00:09 dev up0
    nft 'add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new accept'`,
  );
  expect(made).toBe("");
});
afterAll(() => closeSync(place.descriptor));

/** One flow to each of these. */
async function flowsTo(...targets: readonly (readonly [address: string, port: number])[]): Promise<void> {
  const lines = targets.map(([address, port]) => `echo > /dev/udp/${address}/${port};`).join("\n");
  expect(await inside(place, `bash -c '${lines}'`)).toBe("");
}

function deleted(...destinations: readonly FlowDestination[]): number {
  return withNamespace("net", place.namespacePath, () => deleteFlowsTo("udp", destinations));
}

test("flows to an address and port are forgotten, and those to other addresses and ports are not", async () => {
  await flowsTo([ADDRESS, PORT], [ADDRESS, PORT], [OTHER_ADDRESS, PORT], [ADDRESS, PORT + 1]);
  expect(deleted({ family: 4, address: bytes(ADDRESS), port: PORT })).toBe(2);
  expect(deleted({ family: 4, address: bytes(OTHER_ADDRESS), port: PORT })).toBe(1);
  expect(deleted({ family: 4, address: bytes(ADDRESS), port: PORT + 1 })).toBe(1);
});

test("every address of the host is meant by `local`, and none beyond it", async () => {
  await flowsTo([ADDRESS, PORT], [OTHER_ADDRESS, PORT], ["127.0.0.9", PORT], [ELSEWHERE, PORT]);
  expect(deleted({ family: 4, address: "local", port: PORT })).toBe(3);
  expect(deleted({ family: 4, address: bytes(ELSEWHERE), port: PORT })).toBe(1);
});

test("many destinations of both families are dealt with at once", async () => {
  await flowsTo([ADDRESS, PORT], ["fd00::1", PORT], ["::1", PORT + 1]);
  const local = [4, 6].flatMap((family) =>
    [PORT, PORT + 1].map((port) => ({ family, port, address: "local" }) as FlowDestination),
  );
  expect(deleted(...local)).toBe(3);
  expect(deleted(...local)).toBe(0);
});
