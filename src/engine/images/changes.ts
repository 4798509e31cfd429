/** What `commit` and `import` change of a configuration, written as Dockerfile instructions. Who understands those is told at the root. */
import type { ImageDefaults } from "../../core/image.ts";

/** @throws InvalidParameterError for what is no instruction, or none that changes a configuration alone */
export type ChangeConfig = (config: ImageDefaults, instructions: readonly string[]) => ImageDefaults;
