/**
 * Volumes: their records, who uses them, and what the API does with them. Data is the drivers'.
 *
 * A container refers to a volume from create to remove, and holds it mounted while it runs. Both are kept in memory
 * and recounted from container records at boot, so they cannot disagree with them. A volume with references is
 * never removed; one operation at a time works on a volume.
 *
 * Order on disk: data before the record at create, the record before the data at remove; what a crash leaves without
 * a record is removed at boot (`recover`), and so are anonymous volumes whose container never came to be.
 */
import { KeyedLock } from "../../base/keyed-lock.ts";
import { log } from "../../base/log.ts";
import { ConflictError, InvalidParameterError, NotFoundError } from "../../core/errors.ts";
import type { EventSink } from "../../core/events.ts";
import { randomId } from "../../core/ids.ts";
import type { StateStore, Table } from "../../core/state.ts";
import type {
  ContainerVolumes,
  CopyUpSource,
  MountedVolume,
  VolumeDriver,
  VolumeMountUse,
  VolumeUse,
} from "../../core/storage.ts";
import { checkVolumeName } from "./names.ts";
import {
  ANONYMOUS_LABEL,
  danglingTest,
  type Filters,
  isLocal,
  matchesVolume,
  toPruneFilters,
  type VolumeRecord,
} from "./records.ts";

const DEFAULT_DRIVER = "local";

export interface CreateVolumeRequest {
  /** Empty: an anonymous volume. */
  readonly name?: string;
  readonly driver?: string;
  readonly driverOpts?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface VolumeUsage {
  /** Bytes. */
  readonly size: number;
  /** Containers that refer to it. */
  readonly references: number;
}

export class Volumes implements ContainerVolumes {
  readonly #table: Table<VolumeRecord>;
  readonly #records = new Map<string, VolumeRecord>();
  readonly #drivers: ReadonlyMap<string, VolumeDriver>;
  readonly #events: EventSink;
  readonly #locks = new KeyedLock();
  /** Volume name → containers that refer to it. */
  readonly #references = new Map<string, Set<string>>();
  /** Volume name → containers that hold it mounted. */
  readonly #mounted = new Map<string, Set<string>>();

  constructor(options: { state: StateStore; drivers: readonly VolumeDriver[]; events: EventSink }) {
    this.#table = options.state.table<VolumeRecord>("volumes");
    this.#drivers = new Map(options.drivers.map((driver) => [driver.name, driver]));
    this.#events = options.events;
    for (const [name, record] of this.#table.entries()) this.#records.set(name, record);
  }

  /** Idempotent for the same driver. @throws InvalidParameterError, NotFoundError, ConflictError */
  async create(request: CreateVolumeRequest): Promise<VolumeRecord> {
    const name = request.name || randomId<string>();
    return await this.#locks.run(name, () => this.#create(name, request));
  }

  /** @throws NotFoundError */
  get(name: string): VolumeRecord {
    const record = this.#records.get(name);
    if (!record) throw new NotFoundError(`get ${name}: no such volume`, { subject: name });
    return record;
  }

  mountpointOf(record: VolumeRecord): string {
    return this.#driver(record.driver, record.name).mountpoint(record.name);
  }

  /** Ordered by name. */
  list(filters: Filters = new Map()): VolumeRecord[] {
    const isWanted = danglingTest(filters);
    return [...this.#records.values()]
      .filter((record) => matchesVolume(record, filters) && isWanted(this.#isUsed(record.name)))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws NotFoundError, unless `force`; ConflictError while a container refers to it */
  async remove(name: string, options: { force?: boolean } = {}): Promise<void> {
    await this.#locks.run(name, async () => {
      if (options.force && !this.#records.has(name)) return;
      await this.#remove(this.get(name));
    });
  }

  /**
   * Removes local ones that nothing refers to: only anonymous ones, unless the filter `all` is set. What cannot be
   * removed is left for the next time. @throws InvalidParameterError for the filter `all`
   */
  async prune(filters: Filters, signal: AbortSignal): Promise<{ deleted: string[]; reclaimed: number }> {
    const wanted = toPruneFilters(filters);
    const deleted: string[] = [];
    let reclaimed = 0;
    for (const record of this.list(wanted).filter(isLocal)) {
      signal.throwIfAborted();
      try {
        await this.#locks.run(record.name, async () => {
          if (!this.#records.has(record.name) || this.#isUsed(record.name)) return;
          const size = await this.#sizeOf(record, signal);
          await this.#remove(record);
          deleted.push(record.name);
          reclaimed += size;
        });
      } catch (error) {
        log("warn", "a volume could not be pruned", { volume: record.name, error });
      }
    }
    this.#events.publish({
      type: "volume",
      action: "prune",
      actor: { id: "", attributes: { reclaimed: String(reclaimed) } },
    });
    return { deleted, reclaimed };
  }

  /** For `system df`. */
  async usage(record: VolumeRecord, signal: AbortSignal): Promise<VolumeUsage> {
    return {
      size: await this.#sizeOf(record, signal),
      references: this.#references.get(record.name)?.size ?? 0,
    };
  }

  async acquire(containerId: string, volume: Parameters<ContainerVolumes["acquire"]>[1]): Promise<VolumeUse> {
    const name = volume.name || randomId<string>();
    return await this.#locks.run(name, async () => {
      const record = await this.#create(name, volume, containerId);
      add(this.#references, name, containerId);
      return {
        name,
        driver: record.driver,
        mountpoint: this.mountpointOf(record),
        fresh: !record.populated,
      };
    });
  }

  async copyUp(containerId: string, name: string, from: CopyUpSource): Promise<void> {
    await this.#locks.run(name, async () => {
      const record = this.get(name);
      const whole = from.subpath === undefined;
      if (whole && record.populated) return;
      const driver = this.#driver(record.driver, name);
      const others = [...(this.#references.get(name) ?? [])].filter((id) => id !== containerId);
      await driver.mount(name, record.options);
      try {
        const exclusive = others.length === 0;
        const copied = await driver.copyUp(name, from, { exclusive });
        if (copied && whole) this.#save({ ...record, populated: true });
      } finally {
        if (!this.#mounted.has(name)) await driver.unmount(name);
      }
    });
  }

  async mount(containerId: string, name: string, use: VolumeMountUse): Promise<MountedVolume> {
    return await this.#locks.run(name, async () => {
      const record = this.get(name);
      const driver = this.#driver(record.driver, name);
      await driver.mount(name, record.options);
      add(this.#mounted, name, containerId);
      const mounted = use.subpath
        ? await driver.mountSubpath(name, use.subpath, containerId)
        : { path: driver.mountpoint(name) };
      this.#events.publish({
        type: "volume",
        action: "mount",
        actor: {
          id: name,
          attributes: {
            container: containerId,
            destination: use.destination,
            driver: record.driver,
            propagation: use.propagation,
            "read/write": String(use.rw),
          },
        },
      });
      return mounted;
    });
  }

  async unmount(containerId: string): Promise<void> {
    for (const driver of this.#drivers.values()) await driver.unmountSubpaths(containerId);
    for (const name of namesWith(this.#mounted, containerId)) {
      await this.#locks.run(name, async () => {
        if (!drop(this.#mounted, name, containerId)) return;
        const record = this.#records.get(name);
        if (!record) return;
        if (!this.#mounted.has(name)) await this.#driver(record.driver, name).unmount(name);
        this.#events.publish({
          type: "volume",
          action: "unmount",
          actor: { id: name, attributes: { container: containerId, driver: record.driver } },
        });
      });
    }
  }

  async release(containerId: string, { removeAnonymous }: { removeAnonymous: boolean }): Promise<void> {
    await this.unmount(containerId);
    for (const name of namesWith(this.#references, containerId)) {
      await this.#locks.run(name, async () => {
        drop(this.#references, name, containerId);
        const record = this.#records.get(name);
        if (removeAnonymous && record?.anonymous && !this.#isUsed(name)) await this.#remove(record);
        else if (record?.madeFor === containerId) this.#save(omitMaker(record));
      });
    }
  }

  async recover(containers: Parameters<ContainerVolumes["recover"]>[0]): Promise<void> {
    for (const { id, running, volumes } of containers) {
      for (const name of volumes) {
        add(this.#references, name, id);
        if (running) add(this.#mounted, name, id);
      }
    }
    this.#forgetUnused(new Set(containers.map(({ id }) => id)));
    for (const driver of this.#drivers.values()) {
      const names = [...this.#records.values()].filter((record) => record.driver === driver.name);
      await driver.reconcile({
        names: new Set(names.map((record) => record.name)),
        mounted: new Set(this.#mounted.keys()),
        keys: new Set(containers.filter(({ running }) => running).map(({ id }) => id)),
      });
    }
  }

  /** Of creates that a crash cut short before the container was there; their data has no owner then. */
  #forgetUnused(containers: ReadonlySet<string>): void {
    for (const { name, madeFor } of [...this.#records.values()]) {
      if (madeFor === undefined || containers.has(madeFor) || this.#isUsed(name)) continue;
      this.#table.delete(name);
      this.#records.delete(name);
    }
  }

  async #create(name: string, request: CreateVolumeRequest, containerId?: string): Promise<VolumeRecord> {
    checkVolumeName(name);
    const existing = this.#records.get(name);
    if (existing) {
      if (!request.driver || request.driver === existing.driver) return existing;
      throw new ConflictError(
        `create ${name}: driver '${existing.driver}' already has volume '${name}': volume name must be unique`,
        { subject: name },
      );
    }
    const driver = this.#driver(request.driver || DEFAULT_DRIVER, name);
    const options = request.driverOpts ?? {};
    try {
      driver.checkOptions(options);
    } catch (error) {
      if (!(error instanceof InvalidParameterError)) throw error;
      throw new InvalidParameterError(`create ${name}: ${error.message}`, { cause: error, subject: name });
    }
    await driver.create(name);
    const anonymous = !request.name;
    const record: VolumeRecord = {
      name,
      driver: driver.name,
      createdAt: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
      labels: anonymous ? { ...request.labels, [ANONYMOUS_LABEL]: "" } : (request.labels ?? {}),
      options,
      anonymous,
      ...(anonymous && containerId !== undefined ? { madeFor: containerId } : {}),
      populated: false,
    };
    this.#save(record);
    this.#publish("create", record);
    return record;
  }

  async #remove(record: VolumeRecord): Promise<void> {
    const users = this.#references.get(record.name);
    if (users?.size) {
      throw new ConflictError(`remove ${record.name}: volume is in use - [${[...users].join(", ")}]`, {
        subject: record.name,
      });
    }
    this.#table.delete(record.name);
    this.#records.delete(record.name);
    try {
      await this.#driver(record.driver, record.name).remove(record.name);
    } catch (error) {
      // Its data is still there, so it is: a new volume of that name would get it.
      this.#save(record);
      throw error;
    }
    this.#publish("destroy", record);
  }

  #save(record: VolumeRecord): void {
    this.#table.put(record.name, record);
    this.#records.set(record.name, record);
  }

  #publish(action: string, record: VolumeRecord): void {
    this.#events.publish({
      type: "volume",
      action,
      actor: { id: record.name, attributes: { driver: record.driver } },
    });
  }

  /** Nothing, if it cannot be measured: that must keep nobody from a list or from removing it. */
  async #sizeOf(record: VolumeRecord, signal: AbortSignal): Promise<number> {
    try {
      return await this.#driver(record.driver, record.name).usage(record.name, signal);
    } catch (error) {
      signal.throwIfAborted();
      log("warn", "the size of a volume could not be found out", { volume: record.name, error });
      return 0;
    }
  }

  #isUsed(name: string): boolean {
    return this.#references.has(name);
  }

  #driver(name: string, volume: string): VolumeDriver {
    const driver = this.#drivers.get(name);
    if (driver) return driver;
    throw new NotFoundError(
      `create ${volume}: error looking up volume plugin ${name}: plugin ${JSON.stringify(name)} not found`,
      { subject: name },
    );
  }
}

function omitMaker({ madeFor: _, ...record }: VolumeRecord): VolumeRecord {
  return record;
}

function add(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key) ?? new Set();
  set.add(value);
  sets.set(key, set);
}

/** True if it was in there; a set that is empty goes. */
function drop(sets: Map<string, Set<string>>, key: string, value: string): boolean {
  const set = sets.get(key);
  const had = set?.delete(value) ?? false;
  if (set?.size === 0) sets.delete(key);
  return had;
}

function namesWith(sets: ReadonlyMap<string, ReadonlySet<string>>, value: string): string[] {
  return [...sets].flatMap(([name, set]) => (set.has(value) ? [name] : []));
}
