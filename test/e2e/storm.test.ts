/** 64 clients that create, start, remove and pull under the same few names: one winner a name, and nobody waits long. */
import { expect, test } from "bun:test";
import type { Reply } from "../support/engine.ts";
import { notInOracle, useEngine } from "../support/suite.ts";

const suite = useEngine();

const CLIENTS = 64;
const ROUNDS = 3;
const NAMES = ["alpha", "beta", "gamma"];
/** No call may take longer: `request` gives up then, and the test fails. */
const LONGEST_MS = 30_000;

async function call(
  method: string,
  path: string,
  accepted: readonly number[],
  body?: unknown,
): Promise<Reply> {
  const reply = await suite.engine.request(method, path, { body, timeout: LONGEST_MS });
  if (!accepted.includes(reply.status)) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
  return reply;
}

/** What one client does with one name. @returns whether it was the one who got the name */
async function useName(name: string, client: number): Promise<boolean> {
  const created = await call("POST", `/containers/create?name=${name}`, [201, 409], {
    Image: "busybox",
    Cmd: ["sleep", "600"],
    HostConfig: { Mounts: [{ Type: "volume", Source: `of-${name}`, Target: "/data" }] },
  });
  const target = created.status === 201 ? created.json().Id : name;
  if (client % 3 === 0) await call("POST", `/containers/${target}/start`, [204, 304, 404, 409]);
  if (client % 3 === 1) await call("GET", `/containers/${target}/json`, [200, 404]);
  if (client % 3 === 2) await call("POST", `/containers/${target}/stop?t=0`, [204, 304, 404]);
  await call("GET", "/containers/json?all=1", [200]);
  return created.status === 201;
}

test("creating: one winner for each name at a time, and every call is answered", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const won = await Promise.all(
      Array.from({ length: CLIENTS }, async (_, client) => {
        const name = NAMES[client % NAMES.length] ?? "";
        return (await useName(name, client)) ? name : undefined;
      }),
    );
    expect(won.filter((name) => name !== undefined).sort()).toEqual(NAMES);
    const removed = await Promise.all(
      Array.from({ length: CLIENTS }, (_, client) =>
        call("DELETE", `/containers/${NAMES[client % NAMES.length]}?force=1`, [204, 404, 409]),
      ),
    );
    expect(removed.filter(({ status }) => status === 204).length).toBeGreaterThanOrEqual(NAMES.length);
    expect((await call("GET", "/containers/json?all=1", [200])).json()).toEqual([]);
  }
});

notInOracle("20.10 gives one name to several networks")("networks and volumes: the same", async () => {
  const settled = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const name = NAMES[client % NAMES.length] ?? "";
      const { status } = await call("POST", "/networks/create", [201, 409], {
        Name: name,
        CheckDuplicate: true,
      });
      await call("POST", "/volumes/create", [201], { Name: name });
      await call("GET", `/networks/${name}`, [200]);
      return status;
    }),
  );
  expect(settled.filter((status) => status === 201)).toHaveLength(NAMES.length);
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const name = NAMES[client % NAMES.length] ?? "";
      await call("DELETE", `/networks/${name}`, [204, 404]);
      await call("DELETE", `/volumes/${name}`, [204, 404, 409]);
    }),
  );
  const networks = (await call("GET", "/networks", [200])).json() as { Name: string }[];
  expect(networks.map(({ Name }) => Name).filter((name) => NAMES.includes(name))).toEqual([]);
});

test("pulling, tagging, running and removing one image at once ends with it whole", async () => {
  const image = `${suite.registry.host}/busybox:next`;
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      if (client % 4 === 0) {
        // Somebody who removes it meanwhile makes this one find nothing, or be refused its name.
        await call("DELETE", `/images/${image}?force=1`, [200, 404, 409]);
      } else if (client % 4 === 1) {
        await call("POST", "/images/prune", [200, 409]);
      } else if (client % 4 === 2) {
        const { status } = await call("POST", "/containers/create", [201, 404], {
          Image: image,
          Cmd: ["true"],
        });
        expect([201, 404]).toContain(status);
      } else {
        await call("POST", `/images/create?fromImage=${encodeURIComponent(image)}`, [200]);
      }
    }),
  );
  await suite.engine.pull(image);
  const { Id } = (
    await call("POST", "/containers/create", [201], { Image: image, Cmd: ["busybox", "true"] })
  ).json();
  await call("POST", `/containers/${Id}/start`, [204]);
  expect((await call("POST", `/containers/${Id}/wait`, [200])).json().StatusCode).toBe(0);
});
