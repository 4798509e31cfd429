/** The networks that exist: records in memory as they are on disk, and the drivers that carry them. */
import { NotFoundError, NotImplementedError } from "../../core/errors.ts";
import type { NetworkId } from "../../core/ids.ts";
import { type IpPrefix, parsePrefix } from "../../core/ipam.ts";
import type { NetworkDriver, NetworkRecord } from "../../core/network-driver.ts";
import type { StateStore, Table } from "../../core/state.ts";
import { resolveNetwork } from "./names.ts";

/** Drivers that Docker has and this engine has not, yet. */
const KNOWN_ELSEWHERE = new Set(["overlay"]);

export class NetworkStore {
  readonly #table: Table<NetworkRecord>;
  readonly #records = new Map<NetworkId, NetworkRecord>();
  readonly #drivers: ReadonlyMap<string, NetworkDriver>;

  constructor(state: StateStore, drivers: readonly NetworkDriver[]) {
    this.#table = state.table<NetworkRecord>("networks");
    this.#drivers = new Map(drivers.map((driver) => [driver.name, driver]));
    for (const [, record] of this.#table.entries()) this.#records.set(record.id, record);
  }

  all(): NetworkRecord[] {
    return [...this.#records.values()];
  }

  find(id: string): NetworkRecord | undefined {
    return this.#records.get(id as NetworkId);
  }

  findByName(name: string): NetworkRecord | undefined {
    return this.all().find((record) => record.name === name);
  }

  /** By id, name or unique prefix. @throws NotFoundError, InvalidParameterError */
  get(reference: string): NetworkRecord {
    return resolveNetwork(this.#records.values(), reference);
  }

  /** Durable when it returns. */
  put(record: NetworkRecord): void {
    this.#table.put(record.id, record);
    this.#records.set(record.id, record);
  }

  delete(id: NetworkId): void {
    this.#table.delete(id);
    this.#records.delete(id);
  }

  /** @throws NotFoundError, NotImplementedError */
  driver(name: string): NetworkDriver {
    const driver = this.#drivers.get(name);
    if (driver) return driver;
    if (KNOWN_ELSEWHERE.has(name))
      throw new NotImplementedError(`network driver ${name} is not supported by this engine`, {
        subject: name,
      });
    throw new NotFoundError(`plugin ${JSON.stringify(name)} not found`, { subject: name });
  }

  drivers(): NetworkDriver[] {
    return [...this.#drivers.values()];
  }

  subnets(): IpPrefix[] {
    return this.all().flatMap(({ ipam }) => ipam.subnets.map(({ subnet }) => parsePrefix(subnet)));
  }
}
