/**
 * What clients do while the daemon dies: a set of small jobs, each keeping a ledger of what the engine acknowledged.
 * A call that failed because the daemon died is *open*: it may have happened or not. Everything else must be as told.
 */
import type { Api } from "./api.ts";

export type Fact = "present" | "absent" | "open";

export interface Ledger {
  /** Container name → is it there? */
  readonly containers: Map<string, Fact>;
  /** Container name → the exit code that it must end with once its start was acknowledged. */
  readonly exits: Map<string, number>;
  readonly volumes: Map<string, Fact>;
  readonly networks: Map<string, Fact>;
  /** Exec id → the exit code it must have. */
  readonly execs: Map<string, number>;
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

  async "volumes and networks"({ api, ledger, round }) {
    const name = `noun-${round}`;
    ledger.volumes.set(name, "open");
    expectStatus(await api.call("POST", "/volumes/create", { Name: name }), [201]);
    ledger.volumes.set(name, "present");
    ledger.networks.set(name, "open");
    expectStatus(await api.call("POST", "/networks/create", { Name: name }), [201]);
    ledger.networks.set(name, "present");
    ledger.networks.set(name, "open");
    expectStatus(await api.call("DELETE", `/networks/${name}`), [204]);
    ledger.networks.set(name, "absent");
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
