/**
 * The instructions of a Dockerfile, each with its arguments understood. Variables are not expanded yet: their values
 * depend on the stage, so `expand.ts` does that when the instruction's turn comes.
 */
import type { SourceRange } from "../source/ranges.ts";
import type { MountField } from "./mounts.ts";

interface Common {
  /** The instruction's word as written: `RUN`, `run`. */
  readonly name: string;
  /** Its lines joined, trimmed: what a build shows as the step. */
  readonly code: string;
  readonly location: readonly SourceRange[];
  readonly comments: readonly string[];
}

export interface Pair {
  readonly key: string;
  readonly value: string;
  /** The old form: a space between name and value. */
  readonly legacy: boolean;
}

export interface Argument {
  readonly key: string;
  /** The default; absent if none is given. */
  readonly value?: string;
  /** From a comment above that starts with the name. */
  readonly description: string;
}

/** A here-document handed to a shell. */
export interface InlineFile {
  readonly name: string;
  readonly data: string;
  readonly chomp: boolean;
}

/** A here-document as a source of COPY or ADD. */
export interface InlineSource {
  readonly name: string;
  readonly data: string;
  readonly expand: boolean;
}

/** A command: the words of an exec form, or one text for the shell. */
export interface CommandLine {
  readonly words: readonly string[];
  readonly files: readonly InlineFile[];
  /** The shell form: SHELL goes in front. */
  readonly shell: boolean;
}

interface Copying {
  readonly sources: readonly string[];
  readonly inline: readonly InlineSource[];
  readonly destination: string;
  readonly chown: string;
  readonly chmod: string;
  readonly link: boolean;
  readonly exclude: readonly string[];
}

export interface Device {
  readonly name: string;
  readonly required: boolean;
}

/** Durations in nanoseconds, 0 where not given: what the image configuration holds. */
export interface HealthCheck {
  readonly test: readonly string[];
  readonly interval: number;
  readonly timeout: number;
  readonly startPeriod: number;
  readonly startInterval: number;
  readonly retries: number;
}

export interface AddInstruction extends Common, Copying {
  readonly kind: "add";
  readonly keepGitDir?: boolean;
  readonly checksum: string;
  readonly unpack?: boolean;
}
export interface ArgInstruction extends Common {
  readonly kind: "arg";
  readonly args: readonly Argument[];
}
export interface CmdInstruction extends Common {
  readonly kind: "cmd";
  readonly command: CommandLine;
}
export interface CopyInstruction extends Common, Copying {
  readonly kind: "copy";
  /** A stage, an image or a named context; empty for the build context. */
  readonly from: string;
  readonly parents: boolean;
}
export interface EntrypointInstruction extends Common {
  readonly kind: "entrypoint";
  readonly command: CommandLine;
}
export interface EnvInstruction extends Common {
  readonly kind: "env";
  readonly pairs: readonly Pair[];
}
export interface ExposeInstruction extends Common {
  readonly kind: "expose";
  readonly ports: readonly string[];
}
export interface HealthcheckInstruction extends Common {
  readonly kind: "healthcheck";
  readonly health: HealthCheck;
}
export interface LabelInstruction extends Common {
  readonly kind: "label";
  readonly pairs: readonly Pair[];
}
export interface MaintainerInstruction extends Common {
  readonly kind: "maintainer";
  readonly maintainer: string;
}
export interface OnbuildInstruction extends Common {
  readonly kind: "onbuild";
  /** The trigger as text, here-documents included: so it is kept in the image. */
  readonly expression: string;
}
export interface RunInstruction extends Common {
  readonly kind: "run";
  readonly command: CommandLine;
  /** Not read further: variables in them are expanded first. */
  readonly mounts: readonly (readonly MountField[])[];
  readonly network: "default" | "none" | "host";
  readonly security: "sandbox" | "insecure";
  readonly devices: readonly Device[];
}
export interface ShellInstruction extends Common {
  readonly kind: "shell";
  readonly shell: readonly string[];
}
export interface StopsignalInstruction extends Common {
  readonly kind: "stopsignal";
  readonly signal: string;
}
export interface UserInstruction extends Common {
  readonly kind: "user";
  readonly user: string;
}
export interface VolumeInstruction extends Common {
  readonly kind: "volume";
  readonly volumes: readonly string[];
}
export interface WorkdirInstruction extends Common {
  readonly kind: "workdir";
  readonly path: string;
}

export type Instruction =
  | AddInstruction
  | ArgInstruction
  | CmdInstruction
  | CopyInstruction
  | EntrypointInstruction
  | EnvInstruction
  | ExposeInstruction
  | HealthcheckInstruction
  | LabelInstruction
  | MaintainerInstruction
  | OnbuildInstruction
  | RunInstruction
  | ShellInstruction
  | StopsignalInstruction
  | UserInstruction
  | VolumeInstruction
  | WorkdirInstruction;

/** FROM, and the instructions up to the next one. */
export interface Stage {
  /** Lower-case; empty if it has none. */
  readonly name: string;
  /** The image or stage it starts from, variables not expanded. */
  readonly base: string;
  readonly platform: string;
  /** FROM as written. */
  readonly command: string;
  readonly code: string;
  readonly description: string;
  readonly location: readonly SourceRange[];
  readonly comments: readonly string[];
  readonly instructions: readonly Instruction[];
}
