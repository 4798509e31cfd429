/**
 * Networks over the real kernel, without the rest of the engine: for the suites of networks. Containers are records
 * and a process that sleeps in their namespace.
 */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { EndpointSettings } from "../../src/api/types.ts";
import type { NetworkConfig } from "../../src/core/config.ts";
import type { ContainerRecord } from "../../src/core/container.ts";
import { ZERO_TIME } from "../../src/core/container.ts";
import { NotFoundError } from "../../src/core/errors.ts";
import { type ContainerId, type Digest, randomId } from "../../src/core/ids.ts";
import type { ContainerSandbox } from "../../src/core/networking.ts";
import { embeddedNameServer } from "../../src/drivers/dns/embedded.ts";
import { type BridgeDriver, openBridgeDriver } from "../../src/drivers/network-bridge/bridge-driver.ts";
import { HostPorts } from "../../src/drivers/network-bridge/port-publisher.ts";
import { unaddressedDriver } from "../../src/drivers/network-host/unaddressed.ts";
import { openHostNetwork } from "../../src/drivers/network-namespaces/host-network.ts";
import { openNetworkNamespaces } from "../../src/drivers/network-namespaces/namespaces.ts";
import { openSqliteStateStore } from "../../src/drivers/state-sqlite/store.ts";
import { EventBus } from "../../src/engine/events/bus.ts";
import { type Networks, openNetworks } from "../../src/engine/networks/networks.ts";
import { unmount } from "../../src/linux/mounts.ts";
import { deleteTable } from "../../src/linux/nftables.ts";

export interface StackOptions {
  readonly directory: string;
  readonly instance: string;
  readonly bridge: string;
  readonly config?: Partial<NetworkConfig>;
}

/** One daemon's worth of networks. Dispose is SIGKILL: nothing in the kernel is undone. */
export class NetworkStack implements Disposable {
  readonly records = new Map<string, ContainerRecord>();
  readonly files = new Map<string, ContainerSandbox["files"]>();
  readonly events = new EventBus();
  readonly #closing = new DisposableStack();

  readonly networks: Networks;
  readonly driver: BridgeDriver;

  private constructor(networks: Networks, driver: BridgeDriver) {
    this.networks = networks;
    this.driver = driver;
  }

  static async open(options: StackOptions): Promise<NetworkStack> {
    const { directory, instance, bridge, config } = options;
    const paths = { dataRoot: directory, execRoot: directory, instance };
    const driver = await openBridgeDriver({ paths, mtu: undefined });
    const state = openSqliteStateStore(join(directory, "gantry.db"));
    const network: NetworkConfig = {
      ...{ bridge, bip: undefined, addressPools: [], mtu: undefined, publishAddress: "0.0.0.0" },
      ...{ dns: [], dnsOptions: [], dnsSearch: [], ...config },
    };
    const events = new EventBus();
    const networks = openNetworks({
      config: { network, paths },
      ...{ state, events },
      drivers: [driver, unaddressedDriver("host"), unaddressedDriver("null")],
      namespaces: openNetworkNamespaces(directory),
      publisher: new HostPorts(driver.firewall),
      nameServer: embeddedNameServer,
      host: openHostNetwork(),
    });
    const stack = new NetworkStack(networks, driver);
    networks.containers.containers = {
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
    stack.#closing.use(driver);
    stack.#closing.use(state);
    return stack;
  }

  container(
    name: string,
    hostConfig: ContainerRecord["hostConfig"] = {},
    networks: Record<string, EndpointSettings> = {},
    config: ContainerRecord["config"] = {},
  ): ContainerRecord {
    const id = randomId<ContainerId>();
    const requestedNetworks = this.networks.containers.plan(hostConfig, networks);
    const record: ContainerRecord = {
      ...{ id, name, created: ZERO_TIME, path: "", args: [], image: "", imageId: "" as Digest },
      ...{ platform: "linux", layers: [], mounts: [], config: { Hostname: id.slice(0, 12), ...config } },
      hostConfig,
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
    const sandbox = await this.networks.containers.create(container, { signal });
    const networks = { ...container.networks, ...sandbox.endpoints };
    this.records.set(container.id, { ...container, networks });
    this.files.set(container.id, sandbox.files);
    return sandbox;
  }

  [Symbol.dispose](): void {
    this.#closing.dispose();
  }

  #get(reference: string): ContainerRecord {
    const found = [...this.records.values()].find(({ id, name }) => id === reference || name === reference);
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
    return NetworkStack.open({ directory, instance, bridge, config });
  }

  /** `ip -j link` lines that carry this instance's names. */
  links(): string[] {
    const shown = Bun.spawnSync(["ip", "-o", "link"]).stdout.toString().split("\n");
    return shown.filter(
      (line) => line.includes(`gv${this.instance.slice(0, 6)}`) || line.includes(`gantry-${this.instance}`),
    );
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
