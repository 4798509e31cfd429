/** `docker rename`. */
import type { ContainerRecord } from "../../core/container.ts";
import { ConflictError, InvalidParameterError } from "../../core/errors.ts";
import type { Needs } from "./deps.ts";
import { publish } from "./events.ts";
import { parseContainerName } from "./request/names.ts";
import { ownContainer } from "./state/owner.ts";

type RenameDeps = Needs<"events" | "locks" | "running" | "sandboxes" | "store">;

/** @throws InvalidParameterError, ConflictError when the name is taken, also by the container itself */
export async function renameContainer(deps: RenameDeps, reference: string, newName: string): Promise<void> {
  if (newName === "") throw new InvalidParameterError("Neither old nor new names may be empty");
  const { id } = deps.store.get(reference);
  const name = parseContainerName(newName);
  using _owner = await ownContainer(deps, id);
  const { name: oldName } = deps.store.get(id);
  if (name === oldName) {
    throw new InvalidParameterError("Renaming a container with the same name as its current name");
  }
  if (deps.store.get(id).state.status === "removing") {
    throw new ConflictError(`container ${id} is marked for removal and cannot be renamed`, { subject: id });
  }
  const renamed = takeName(deps, id, name);
  deps.sandboxes.renamed?.(renamed);
  publish(deps.events, renamed, "rename", { oldName: `/${oldName}` });
}

/** @throws ConflictError in dockerd's words */
function takeName(deps: Needs<"store">, id: string, name: string): ContainerRecord {
  try {
    return deps.store.update(id, () => ({ name }));
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    throw new ConflictError(`Error when allocating new name: ${error.message}`, {
      subject: name,
      cause: error,
    });
  }
}
