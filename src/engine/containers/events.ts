/** Container events with the attributes that Docker gives them: every label, the image as asked for, and the name. */
import type { ContainerRecord } from "../../core/container.ts";
import type { EventSink } from "../../core/events.ts";

/**
 * @param action `start`, `exec_create: sh`
 * @param attributes go over labels of the same name; image and name go over them
 */
export function publish(
  events: EventSink,
  container: ContainerRecord,
  action: string,
  attributes: Readonly<Record<string, string>> = {},
): void {
  events.publish({
    type: "container",
    action,
    actor: {
      id: container.id,
      attributes: {
        ...container.config.Labels,
        ...attributes,
        ...(container.image !== "" && { image: container.image }),
        name: container.name,
      },
    },
  });
}
