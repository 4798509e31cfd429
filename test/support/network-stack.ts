/**
 * Networks over the real kernel, without the rest of the engine: for the suites of networks. Containers are records
 * and a process that sleeps in their namespace.
 */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { EndpointSettings } from "../../src/api/types.ts";
import { KeyedLock } from "../../src/base/keyed-lock.ts";
import type { NetworkConfig } from "../../src/core/config.ts";
import type { ContainerRecord } from "../../src/core/container.ts";
import { ZERO_TIME } from "../../src/core/container.ts";
import { NotFoundError } from "../../src/core/errors.ts";
import { type ContainerId, type Digest, randomId } from "../../src/core/ids.ts";
import { formatAddress, fromBytes } from "../../src/core/ipam.ts";
import type { ContainerSandbox, EndpointOwners } from "../../src/core/networking.ts";
import { embeddedNameServer } from "../../src/drivers/dns/embedded.ts";
import { type BridgeDriver, openBridgeDriver } from "../../src/drivers/network-bridge/bridge-driver.ts";
import { HostPorts } from "../../src/drivers/network-bridge/port-publisher.ts";
import { unaddressedDriver } from "../../src/drivers/network-host/unaddressed.ts";
import { ParentedDriver } from "../../src/drivers/network-macvlan/driver.ts";
import { openHostNetwork } from "../../src/drivers/network-namespaces/host-network.ts";
import { openNetworkNamespaces } from "../../src/drivers/network-namespaces/namespaces.ts";
import { openSqliteStateStore } from "../../src/drivers/state-sqlite/store.ts";
import { EventBus } from "../../src/engine/events/bus.ts";
import { type Networks, openNetworks } from "../../src/engine/networks/networks.ts";
import { unmount } from "../../src/linux/mounts.ts";
import { withNamespace } from "../../src/linux/namespaces.ts";
import { deleteTable } from "../../src/linux/nftables.ts";

export interface StackOptions {
  readonly directory: string;
  readonly instance: string;
  readonly bridge: string;
  readonly config?: Partial<NetworkConfig>;
}

/** One daemon's worth of networks. Dispose ends the daemon: what running containers need stays in the kernel. */
export class NetworkStack implements Disposable {
  readonly records = new Map<string, ContainerRecord>();
  readonly files = new Map<string, ContainerSandbox["files"]>();
  readonly events: EventBus;
  /** Of the containers, by id. */
  readonly locks = new KeyedLock();
  readonly #closing = new DisposableStack();

  readonly networks: Networks;
  readonly driver: BridgeDriver;

  private constructor(networks: Networks, driver: BridgeDriver, events: EventBus) {
    this.events = events;
    this.networks = networks;
    this.driver = driver;
  }

  static async open(options: StackOptions): Promise<NetworkStack> {
    const { directory, instance, bridge, config } = options;
    const paths = { dataRoot: directory, execRoot: directory, instance };
    const driver = await openBridgeDriver({
      paths,
      mtu: undefined,
      respectFirewalls: config?.respectFirewalls ?? false,
    });
    const state = openSqliteStateStore(join(directory, "gantry.db"));
    const network: NetworkConfig = {
      ...{ bridge, bip: undefined, addressPools: [], mtu: undefined, publishAddress: "0.0.0.0" },
      ...{ userlandProxy: true, respectFirewalls: false, allowDirectRouting: false, acceptMark: undefined },
      ...{ defaultOptions: {}, hostGateways: [] },
      defaultBridge: {
        ...{ icc: true, masquerade: true, ipv6: false, fixedCidr: undefined },
        ...{ bip6: undefined, fixedCidr6: undefined },
      },
      ...{ dns: [], dnsOptions: [], dnsSearch: [], ...config },
    };
    const events = new EventBus();
    const namespaces = openNetworkNamespaces(directory);
    const publisher = new HostPorts(driver.firewall, directory);
    const owners: EndpointOwners = {
      exclusively: (id, work) => stack.locks.run(id, work),
      get: (reference) => stack.#get(reference),
      setEndpoint: async (id, name, endpoint) => {
        const record = stack.#get(id);
        const put = (networks: ContainerRecord["networks"], value: EndpointSettings | undefined) =>
          Object.fromEntries(
            Object.entries({ ...networks, [name]: value }).flatMap(([key, one]) => (one ? [[key, one]] : [])),
          );
        stack.records.set(id, {
          ...record,
          networks: put(record.networks, endpoint?.current),
          requestedNetworks: put(record.requestedNetworks, endpoint?.requested),
        });
      },
      filesChanged: async (id, files) => void stack.files.set(id, files),
    };
    const macvlan = new ParentedDriver("macvlan", instance);
    const ipvlan = new ParentedDriver("ipvlan", instance);
    const networks = openNetworks({
      config: { network, paths },
      ...{ state, events, owners },
      drivers: [driver, macvlan, ipvlan, unaddressedDriver("host"), unaddressedDriver("null")],
      namespaces,
      publisher,
      nameServer: embeddedNameServer,
      host: openHostNetwork(),
    });
    const stack = new NetworkStack(networks, driver, events);
    stack.#closing.use(driver);
    stack.#closing.use(macvlan);
    stack.#closing.use(ipvlan);
    stack.#closing.use(namespaces);
    stack.#closing.use(state);
    stack.#closing.use(publisher);
    return stack;
  }

  container(
    name: string,
    hostConfig: ContainerRecord["hostConfig"] = {},
    networks: Record<string, EndpointSettings> = {},
    config: ContainerRecord["config"] = {},
  ): ContainerRecord {
    const id = randomId<ContainerId>();
    const requestedNetworks = this.networks.sandboxes.plan(hostConfig, networks);
    const record: ContainerRecord = {
      ...{ id, name, created: ZERO_TIME, path: "", args: [], image: "", imageId: "" as Digest },
      ...{ platform: "linux", layers: [], mounts: [], config: { Hostname: id.slice(0, 12), ...config } },
      hostConfig,
      links: this.networks.sandboxes.links(hostConfig),
      networks: requestedNetworks,
      requestedNetworks,
      state: {
        ...{ status: "created", pid: 0, pidStartTime: 0, exitCode: 0, error: "", oomKilled: false },
        ...{ startedAt: ZERO_TIME, finishedAt: ZERO_TIME },
      },
      ...{ restartCount: 0, manuallyStopped: false, starting: false },
    };
    this.records.set(id, record);
    return record;
  }

  async start(container: ContainerRecord): Promise<ContainerSandbox> {
    const { signal } = new AbortController();
    const sandbox = await this.networks.sandboxes.create(container, { signal });
    const networks = { ...container.networks, ...sandbox.endpoints };
    this.records.set(container.id, { ...container, networks });
    this.files.set(container.id, sandbox.files);
    return sandbox;
  }

  [Symbol.dispose](): void {
    this.#closing.dispose();
  }

  #get(reference: string): ContainerRecord {
    const found = [...this.records.values()].findLast(
      ({ id, name }) => id === reference || name === reference,
    );
    if (!found) throw new NotFoundError(`No such container: ${reference}`);
    return found;
  }
}

/** A place for a stack, and the removal of everything that it left in the kernel. */
export class NetworkGround implements AsyncDisposable {
  readonly directory = realpathSync(mkdtempSync("/tmp/t-networks-"));
  readonly instance = randomId<string>().slice(0, 8);
  readonly bridge = `gtn${this.instance.slice(0, 6)}`;

  open(config: Partial<NetworkConfig> = {}): Promise<NetworkStack> {
    const { directory, instance, bridge } = this;
    // Of its own: suites that run side by side would choose the same at the same moment.
    const second = 64 + (Number.parseInt(instance.slice(0, 2), 16) % 60);
    const third = Number.parseInt(instance.slice(2, 3), 16) * 16;
    const addressPools = [{ base: `10.${second}.${third}.0/20`, size: 24 }];
    return NetworkStack.open({ directory, instance, bridge, config: { addressPools, ...config } });
  }

  /** `ip -j link` lines that carry this instance's names. */
  links(): string[] {
    const shown = Bun.spawnSync(["ip", "-o", "link"]).stdout.toString().split("\n");
    return shown.filter(
      (line) => line.includes(`gv${this.instance.slice(0, 6)}`) || line.includes(`gantry-${this.instance}`),
    );
  }

  /** Names of this instance's nftables tables. */
  tables(): string[] {
    const shown = Bun.spawnSync(["nft", "list", "tables"]).stdout.toString().split("\n");
    return shown.filter((line) => line.includes(this.instance));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await deleteTable(`gantry-${this.instance}`);
    for (const line of this.links()) {
      const name = /^\d+: ([^:@]+)/.exec(line)?.[1];
      if (name) Bun.spawnSync(["ip", "link", "delete", name]);
    }
    const mounts = Bun.spawnSync(["cat", "/proc/self/mountinfo"]).stdout.toString().split("\n");
    for (const line of mounts.reverse()) {
      const target = line.split(" ")[4];
      if (target?.startsWith(this.directory)) unmount(target, { lazy: true });
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Runs a shell command in a sandbox's namespace. Its output and errors, trimmed. */
export async function inside(sandbox: { namespacePath: string }, command: string): Promise<string> {
  const child = Bun.spawn(
    ["nsenter", `--net=${sandbox.namespacePath}`, "sh", "-c", `exec 2>&1; ${command}`],
    {
      stdout: "pipe",
      timeout: 15_000,
    },
  );
  return (await new Response(child.stdout).text()).trim();
}

/** Runs a shell command on the host. */
export async function outside(command: string): Promise<string> {
  const child = Bun.spawn(["sh", "-c", `exec 2>&1; ${command}`], { stdout: "pipe", timeout: 15_000 });
  return (await new Response(child.stdout).text()).trim();
}

/** Where a socket is opened: in a sandbox's namespace, or undefined for the host's. */
type Place = { namespacePath: string } | undefined;

function at<T>(place: Place, work: () => T): T {
  return place ? withNamespace("net", place.namespacePath, work) : work();
}

/** A server that greets every TCP client with the address it sees. */
export function greetTcp(place: Place, port: number, hostname = "0.0.0.0"): Disposable {
  const server = at(place, () =>
    Bun.listen({
      ...{ hostname, port },
      socket: { open: (socket) => void socket.end(`hello ${socket.remoteAddress}`), data() {} },
    }),
  );
  return { [Symbol.dispose]: () => server.stop(true) };
}

/** What a TCP server says, or why there is nothing: `refused`, `timeout`. */
export async function callTcp(place: Place, hostname: string, port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let said = "";
  const connecting = at(place, () =>
    Bun.connect({
      ...{ hostname, port },
      socket: {
        data: (_, bytes) => {
          said += bytes.toString();
        },
        close: () => resolve(said),
        connectError: () => resolve("refused"),
      },
    }),
  ).catch(() => undefined);
  const timer = setTimeout(() => resolve("timeout"), 1800);
  const answer = await promise;
  clearTimeout(timer);
  void connecting.then((socket) => socket?.terminate());
  return answer;
}

/** A server that greets every UDP datagram with its sender's address and a word of its own. */
export async function greetUdp(place: Place, port: number, word = "hello"): Promise<Disposable> {
  const server = await at(place, () =>
    Bun.udpSocket({
      ...{ hostname: "0.0.0.0", port },
      socket: {
        data: (socket, _bytes, from, address) => void socket.send(`${word} ${address}`, from, address),
      },
    }),
  );
  return { [Symbol.dispose]: () => server.close() };
}

/** What comes back for one datagram, or `timeout`. */
export async function callUdp(place: Place, hostname: string, port: number, localPort = 0): Promise<string> {
  const answer = await exchange(place, hostname, port, Buffer.from("?"), localPort);
  return answer?.toString() ?? "timeout";
}

async function exchange(
  place: Place,
  hostname: string,
  port: number,
  bytes: Uint8Array,
  localPort = 0,
): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const socket = await at(place, () =>
    Bun.udpSocket({
      ...{ hostname: hostname.includes(":") ? "::" : "0.0.0.0", port: localPort },
      connect: { hostname, port },
      socket: { data: (_, answer) => resolve(Buffer.from(answer)), error: () => resolve(undefined) },
    }),
  );
  socket.send(bytes);
  const timer = setTimeout(() => resolve(undefined), 1800);
  const answer = await promise;
  clearTimeout(timer);
  socket.close();
  return answer;
}

const TYPES = { A: 1, PTR: 12, MX: 15, AAAA: 28 } as const;

export interface NameAnswer {
  /** RFC 1035: 0 fine, 2 server failure, 3 no such name. */
  readonly rcode: number;
  readonly addresses: readonly string[];
}

/** Asks embedded DNS from inside of a sandbox, as a container's resolver does. undefined: no answer. */
export async function ask(
  place: Place,
  name: string,
  type: keyof typeof TYPES = "A",
): Promise<NameAnswer | undefined> {
  const answer = await exchange(place, "127.0.0.11", 53, toQuery(name, TYPES[type]));
  return answer && readAnswer(answer);
}

export function toQuery(name: string, type: number): Buffer {
  const labels = name.split(".").flatMap((label) => [Buffer.of(label.length), Buffer.from(label)]);
  const header = Buffer.from("123401000001000000000000", "hex");
  return Buffer.concat([header, ...labels, Buffer.of(0, 0, type, 0, 1)]);
}

/** Addresses of an answer whose records point to the question's name. */
export function readAnswer(answer: Buffer): NameAnswer {
  let start = 12;
  while (answer[start]) start += 1 + (answer[start] ?? 0);
  start += 5;
  const addresses: string[] = [];
  for (let count = answer.readUInt16BE(6); count > 0; count--) {
    const length = answer.readUInt16BE(start + 10);
    const data = answer.subarray(start + 12, start + 12 + length);
    addresses.push(
      length === 4 || length === 16
        ? formatAddress(fromBytes(length === 4 ? 4 : 6, data))
        : data.toString("latin1").replace(/[^a-zA-Z0-9_-]+/g, "."),
    );
    start += 12 + length;
  }
  return { rcode: answer.readUInt8(3) & 0xf, addresses };
}
