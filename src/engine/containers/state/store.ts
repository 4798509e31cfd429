/**
 * The containers of this engine: an index of immutable records, by id, name and unique id prefix. Reading never
 * waits. A change is durable before anybody sees it: `update` writes first and then publishes the new record.
 *
 * Owns the records and the names. Who may change a record, and when, is the business of the use cases beside this
 * file: they hold the container's lock.
 */
import type { ContainerRecord } from "../../../core/container.ts";
import { ConflictError, InvalidParameterError, NotFoundError } from "../../../core/errors.ts";
import type { ContainerId } from "../../../core/ids.ts";
import type { StateStore, Table } from "../../../core/state.ts";

const ID_PREFIX = /^[0-9a-f]{1,64}$/;

/** Every container's record; a change is durable before anybody sees it. */
export class ContainerStore {
  readonly #table: Table<ContainerRecord>;
  readonly #byId = new Map<string, ContainerRecord>();
  readonly #idByName = new Map<string, ContainerId>();

  constructor(state: StateStore) {
    this.#table = state.table<ContainerRecord>("containers");
    for (const [, record] of this.#table.entries()) this.#publish(record);
  }

  /** Newest first. */
  list(): ContainerRecord[] {
    return [...this.#byId.values()].sort((a, b) => compareTimes(b.created, a.created));
  }

  byId(id: string): ContainerRecord | undefined {
    return this.#byId.get(id);
  }

  byName(name: string): ContainerRecord | undefined {
    const id = this.#idByName.get(name);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  /**
   * By full id, name (with or without a slash in front), link (`parent/alias`) or unique id prefix, in this order, as
   * Docker does.
   */
  find(reference: string): ContainerRecord | undefined {
    const name = reference.replace(/^\//, "");
    const exact = this.#byId.get(reference) ?? this.byName(name) ?? this.#byLink(name);
    if (exact || !ID_PREFIX.test(reference)) return exact;
    const matches = [...this.#byId.values()].filter(({ id }) => id.startsWith(reference));
    if (matches.length > 1) {
      throw new InvalidParameterError(`multiple IDs found with provided prefix: ${reference}`, {
        subject: reference,
      });
    }
    return matches[0];
  }

  /** What the containers that link to this one call it: `parent/alias`. */
  linkNamesOf(id: string): string[] {
    return [...this.#byId.values()].flatMap(({ name, links = [] }) =>
      links.flatMap(({ alias, target }) => (target === id ? [`${name}/${alias}`] : [])),
    );
  }

  /** @throws NotFoundError "No such container: …"; InvalidParameterError for an ambiguous prefix */
  get(reference: string): ContainerRecord {
    if (reference === "") throw new InvalidParameterError("No container name or ID supplied");
    const found = this.find(reference);
    if (!found) throw new NotFoundError(`No such container: ${reference}`, { subject: reference });
    return found;
  }

  /**
   * Takes a name for a container that does not exist yet. Dispose gives it back, unless the container was inserted.
   * @throws ConflictError in Docker's words
   */
  reserveName(name: string, id: ContainerId): Disposable {
    this.#checkNameIsFree(name);
    this.#idByName.set(name, id);
    return {
      [Symbol.dispose]: () => {
        if (!this.#byId.has(id) && this.#idByName.get(name) === id) this.#idByName.delete(name);
      },
    };
  }

  isNameTaken(name: string): boolean {
    return this.#idByName.has(name);
  }

  insert(record: ContainerRecord): ContainerRecord {
    this.#table.put(record.id, record);
    this.#publish(record);
    return record;
  }

  /**
   * Replaces what `change` returns in the record, durably, and gives back the new record.
   * @throws NotFoundError when the container is gone; NoSpaceError
   */
  update(
    id: string,
    change: (current: ContainerRecord) => Partial<Omit<ContainerRecord, "id">>,
  ): ContainerRecord {
    const current = this.#byId.get(id);
    if (!current) throw new NotFoundError(`No such container: ${id}`, { subject: id });
    const next: ContainerRecord = { ...current, ...change(current) };
    if (next.name !== current.name) this.#checkNameIsFree(next.name);
    this.#table.put(id, next);
    if (next.name !== current.name) this.#idByName.delete(current.name);
    this.#publish(next);
    return next;
  }

  /** Replaces what is given in the record in memory alone: written with the next `update`. For what may be lost. */
  note(id: string, change: Partial<Pick<ContainerRecord, "state">>): void {
    const current = this.#byId.get(id);
    if (current) this.#publish({ ...current, ...change });
  }

  delete(id: string): void {
    const current = this.#byId.get(id);
    if (!current) return;
    this.#table.delete(id);
    this.#byId.delete(id);
    this.#idByName.delete(current.name);
  }

  #byLink(name: string): ContainerRecord | undefined {
    const [parent = "", alias, ...more] = name.split("/");
    if (alias === undefined || more.length > 0) return undefined;
    const link = this.byName(parent)?.links?.find((candidate) => candidate.alias === alias);
    return link && this.#byId.get(link.target);
  }

  #publish(record: ContainerRecord): void {
    this.#byId.set(record.id, record);
    this.#idByName.set(record.name, record.id);
  }

  #checkNameIsFree(name: string): void {
    const owner = this.#idByName.get(name);
    if (owner === undefined) return;
    throw new ConflictError(
      `Conflict. The container name "/${name}" is already in use by container "${owner}". ` +
        "You have to remove (or rename) that container to be able to reuse that name.",
      { subject: name },
    );
  }
}

/** RFC 3339 times without trailing zeros do not sort as text: the whole seconds do, then the fraction does. */
export function compareTimes(a: string, b: string): number {
  const [left, right] = [sortable(a), sortable(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function sortable(time: string): string {
  return `${time.slice(0, 19)}.${time.slice(20, -1).padEnd(9, "0")}`;
}
