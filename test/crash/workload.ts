/**
 * What clients do while the daemon dies: a set of small jobs, each keeping a ledger of what the engine acknowledged.
 * A call that failed because the daemon died is *open*: it may have happened or not. Everything else must be as told.
 */
import { freePort } from "../support/registry.ts";
import type { Api } from "./api.ts";

export type Fact = "present" | "absent" | "open";

export interface Ledger {
  /** Container name → is it there? */
  readonly containers: Map<string, Fact>;
  /** Container name → the exit code that it must end with once its start was acknowledged. */
  readonly exits: Map<string, number>;
  /** Container name → the state that it must come to and stay in. */
  readonly states: Map<string, "running" | "paused">;
  /** Names of containers that go with their process. */
  readonly leaving: Set<string>;
  /** Container name → a TCP port of loopback at which it says its name. */
  readonly ports: Map<string, number>;
  readonly images: Map<string, Fact>;
  readonly volumes: Map<string, Fact>;
  /** Volume name → what a container wrote into its file `sub/file`. */
  readonly contents: Map<string, string>;
  readonly networks: Map<string, Fact>;
  /** Exec id → the exit code it must have. */
  readonly execs: Map<string, number>;
}

export function emptyLedger(): Ledger {
  return {
    containers: new Map(),
    exits: new Map(),
    states: new Map(),
    leaving: new Set(),
    ports: new Map(),
    images: new Map(),
    volumes: new Map(),
    contents: new Map(),
    networks: new Map(),
    execs: new Map(),
  };
}

export interface Workload {
  readonly api: Api;
  readonly ledger: Ledger;
  readonly image: string;
  readonly pulledImage: string;
  readonly sentinel: string;
  /** Unique per kill: names never repeat. */
  readonly round: number;
}

/** Each job runs until it is done or the daemon is gone. It rejects only on an answer that no crash explains. */
export const jobs: Readonly<Record<string, (work: Workload) => Promise<void>>> = {
  async "a container that exits"({ api, ledger, image, round }) {
    const name = `exits-${round}`;
    const code = round % 200;
    await create(api, ledger, name, { Image: image, Cmd: ["sh", "-c", `exit ${code}`] });
    await start(api, ledger, name, code);
  },

  async "a container that exits a little later"({ api, ledger, image, round }) {
    const name = `later-${round}`;
    const script = `usleep ${(round * 7919) % 1_000_000}; exit 9`;
    await create(api, ledger, name, { Image: image, Cmd: ["sh", "-c", script] });
    await start(api, ledger, name, 9);
  },

  async "a container that writes and exits"({ api, ledger, image, round }) {
    const name = `writes-${round}`;
    const script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; done; exit 7";
    await create(api, ledger, name, { Image: image, Cmd: ["sh", "-c", script] });
    await start(api, ledger, name, 7);
  },

  async "a container that is removed by force"({ api, ledger, image, round }) {
    const name = `removed-${round}`;
    await create(api, ledger, name, { Image: image, Cmd: ["sleep", "1000"] });
    await start(api, ledger, name, undefined);
    ledger.containers.set(name, "open");
    expectStatus(await api.call("DELETE", `/containers/${name}?force=1`), [204]);
    ledger.containers.set(name, "absent");
  },

  async "a container that is stopped"({ api, ledger, image, round }) {
    const name = `stopped-${round}`;
    await create(api, ledger, name, { Image: image, Cmd: ["sleep", "1000"], StopSignal: "SIGKILL" });
    await start(api, ledger, name, undefined);
    expectStatus(await api.call("POST", `/containers/${name}/stop?t=0`), [204, 304]);
    ledger.exits.set(name, 137);
  },

  async "a container that removes itself"({ api, ledger, image, round }) {
    const name = `leaves-${round}`;
    const HostConfig = { AutoRemove: true };
    const Volumes = { "/anonymous": {} };
    await create(api, ledger, name, { Image: image, Cmd: ["usleep", "50000"], HostConfig, Volumes });
    ledger.containers.set(name, "open");
    await start(api, ledger, name, undefined);
    ledger.leaving.add(name);
  },

  async "a container that is restarted when it fails"({ api, ledger, image, round }) {
    const name = `fails-${round}`;
    const HostConfig = { RestartPolicy: { Name: "on-failure", MaximumRetryCount: 2 } };
    await create(api, ledger, name, { Image: image, Cmd: ["sh", "-c", "exit 3"], HostConfig });
    await start(api, ledger, name, 3);
  },

  async "a container that is always restarted"({ api, ledger, image, round }) {
    const name = `always-${round}`;
    const HostConfig = { RestartPolicy: { Name: "always" } };
    await create(api, ledger, name, { Image: image, Cmd: ["sleep", "1000"], HostConfig });
    await start(api, ledger, name, undefined);
    ledger.states.set(name, "running");
    const { State } = await api.get<{ State: { Pid: number } }>(`/containers/${name}/json`);
    if (State.Pid > 0) process.kill(State.Pid, "SIGKILL");
  },

  async "a container that is paused"({ api, ledger, image, round }) {
    const name = `paused-${round}`;
    await create(api, ledger, name, { Image: image, Cmd: ["sleep", "1000"] });
    await start(api, ledger, name, undefined);
    expectStatus(await api.call("POST", `/containers/${name}/pause`), [204]);
    ledger.states.set(name, "paused");
    await Bun.sleep(100);
    ledger.states.delete(name);
    expectStatus(await api.call("POST", `/containers/${name}/unpause`), [204]);
    ledger.states.set(name, "running");
  },

  async "a container with published ports"({ api, ledger, image, round }) {
    const name = `ports-${round}`;
    const [tcp, udp] = [await freePort(), await freePort()];
    const bindings = (port: number) => [{ HostIp: "127.0.0.1", HostPort: String(port) }];
    await create(api, ledger, name, {
      Image: image,
      Cmd: ["nc", "-ll", "-p", "80", "-e", "echo", name],
      ExposedPorts: { "80/tcp": {}, "53/udp": {} },
      HostConfig: { PortBindings: { "80/tcp": bindings(tcp), "53/udp": bindings(udp) } },
    });
    await start(api, ledger, name, undefined);
    ledger.states.set(name, "running");
    ledger.ports.set(name, tcp);
  },

  async "a container on a network of its own"({ api, ledger, image, round }) {
    const [name, network] = [`networked-${round}`, `net-${round}`];
    await createNetwork(api, ledger, network);
    const HostConfig = { NetworkMode: network };
    await create(api, ledger, name, { Image: image, Cmd: ["sleep", "1000"], HostConfig });
    await start(api, ledger, name, undefined);
    ledger.states.set(name, "running");
    expectStatus(await api.call("POST", "/networks/bridge/connect", { Container: name }), [200]);
    expectStatus(await api.call("POST", `/networks/${network}/disconnect`, { Container: name }), [200]);
    await removeNetwork(api, ledger, network);
  },

  async "a container with volumes"({ api, ledger, image, round }) {
    const [writer, user] = [`fills-${round}`, `mounts-${round}`];
    const [data, memory] = [`data-${round}`, `memory-${round}`];
    await createVolume(api, ledger, data);
    await createVolume(api, ledger, memory, { type: "tmpfs", device: "tmpfs" });
    const script = `mkdir -p /data/sub && echo ${data} > /data/sub/file`;
    const volume = (Source: string, Target: string) => ({ Type: "volume", Source, Target });
    const filled = { Mounts: [volume(data, "/data")] };
    await create(api, ledger, writer, { Image: image, Cmd: ["sh", "-c", script], HostConfig: filled });
    await start(api, ledger, writer, 0);
    expectStatus(await api.call("POST", `/containers/${writer}/wait`), [200]);
    ledger.contents.set(data, data);
    const part = { ...volume(data, "/part"), VolumeOptions: { Subpath: "sub" } };
    await create(api, ledger, user, {
      Image: image,
      Cmd: ["sleep", "1000"],
      Volumes: { "/anonymous": {} },
      HostConfig: { Mounts: [volume(data, "/data"), volume(memory, "/memory"), part] },
    });
    await start(api, ledger, user, undefined);
    ledger.states.set(user, "running");
  },

  async "a pull"({ api, pulledImage }) {
    await api.call("DELETE", `/images/${pulledImage}?force=1`);
    const [repository, tag] = [
      pulledImage.slice(0, pulledImage.lastIndexOf(":")),
      pulledImage.slice(pulledImage.lastIndexOf(":") + 1),
    ];
    expectStatus(
      await api.call("POST", `/images/create?fromImage=${encodeURIComponent(repository)}&tag=${tag}`),
      [200],
    );
  },

  async "an image that is tagged and removed"({ api, ledger, image, round }) {
    const name = `crash/tagged-${round}:latest`;
    ledger.images.set(name, "open");
    expectStatus(await api.call("POST", `/images/${image}/tag?repo=crash/tagged-${round}&tag=latest`), [201]);
    ledger.images.set(name, "present");
    await Bun.sleep(50);
    ledger.images.set(name, "open");
    expectStatus(await api.call("DELETE", `/images/${name}`), [200]);
    ledger.images.set(name, "absent");
  },

  async "volumes and networks"({ api, ledger, round }) {
    const name = `noun-${round}`;
    await createVolume(api, ledger, name);
    await createNetwork(api, ledger, name);
    await removeNetwork(api, ledger, name);
  },

  async "what is pruned"({ api, ledger, image, round }) {
    const names = [`idle-${round}`, `done-${round}`];
    const Labels = { pruned: String(round) };
    for (const name of names) await create(api, ledger, name, { Image: image, Cmd: ["true"], Labels });
    await start(api, ledger, `done-${round}`, 0);
    expectStatus(await api.call("POST", `/containers/done-${round}/wait`), [200]);
    await createVolume(api, ledger, `unused-${round}`, undefined, Labels);
    await createNetwork(api, ledger, `unused-${round}`, Labels);
    const filters = { label: [`pruned=${round}`] };
    const prune = async (noun: string, facts: Map<string, Fact>, gone: readonly string[], more = {}) => {
      for (const name of gone) facts.set(name, "open");
      const query = encodeURIComponent(JSON.stringify({ ...filters, ...more }));
      expectStatus(await api.call("POST", `/${noun}/prune?filters=${query}`), [200]);
      for (const name of gone) facts.set(name, "absent");
    };
    await prune("containers", ledger.containers, names);
    await prune("volumes", ledger.volumes, [`unused-${round}`], { all: ["true"] });
    await prune("networks", ledger.networks, [`unused-${round}`]);
  },

  async "an exec"({ api, ledger, sentinel, round }) {
    const created = await api.call("POST", `/containers/${sentinel}/exec`, {
      Cmd: ["sh", "-c", `sleep 0.05; exit ${round % 100}`],
    });
    expectStatus(created, [201]);
    const { Id } = JSON.parse(created.text) as { Id: string };
    expectStatus(await api.call("POST", `/exec/${Id}/start`, { Detach: true }), [200, 204]);
    ledger.execs.set(Id, round % 100);
  },

  async "an exec with a client"({ api, ledger, sentinel, round }) {
    const created = await api.call("POST", `/containers/${sentinel}/exec`, {
      Cmd: ["sh", "-c", `echo begin; usleep 100000; echo end; exit ${round % 50}`],
      AttachStdout: true,
    });
    expectStatus(created, [201]);
    const { Id } = JSON.parse(created.text) as { Id: string };
    for await (const _piece of api.stream("POST", `/exec/${Id}/start`, { Detach: false }))
      ledger.execs.set(Id, round % 50);
  },
};

/** Fails with what the engine said. */
export function expectStatus(reply: { status: number; text: string }, accepted: readonly number[]): void {
  if (!accepted.includes(reply.status)) throw new UnexpectedAnswer(`${reply.status} ${reply.text.trim()}`);
}

/** The engine answered, and wrongly: no crash explains that. */
export class UnexpectedAnswer extends Error {}

async function create(api: Api, ledger: Ledger, name: string, body: object): Promise<void> {
  ledger.containers.set(name, "open");
  expectStatus(await api.call("POST", `/containers/create?name=${name}`, body), [201]);
  ledger.containers.set(name, "present");
}

async function start(api: Api, ledger: Ledger, name: string, exitCode: number | undefined): Promise<void> {
  expectStatus(await api.call("POST", `/containers/${name}/start`), [204]);
  if (exitCode !== undefined) ledger.exits.set(name, exitCode);
}

async function createVolume(
  api: Api,
  ledger: Ledger,
  name: string,
  DriverOpts?: Record<string, string>,
  Labels?: Record<string, string>,
): Promise<void> {
  ledger.volumes.set(name, "open");
  expectStatus(await api.call("POST", "/volumes/create", { Name: name, DriverOpts, Labels }), [201]);
  ledger.volumes.set(name, "present");
}

async function createNetwork(
  api: Api,
  ledger: Ledger,
  name: string,
  Labels?: Record<string, string>,
): Promise<void> {
  ledger.networks.set(name, "open");
  expectStatus(await api.call("POST", "/networks/create", { Name: name, Labels }), [201]);
  ledger.networks.set(name, "present");
}

async function removeNetwork(api: Api, ledger: Ledger, name: string): Promise<void> {
  ledger.networks.set(name, "open");
  expectStatus(await api.call("DELETE", `/networks/${name}`), [204]);
  ledger.networks.set(name, "absent");
}
