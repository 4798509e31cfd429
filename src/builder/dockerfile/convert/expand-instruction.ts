/** Variables in an instruction's arguments. Which arguments may have some is a rule of each instruction. */
import type { Instruction } from "../instructions/types.ts";

export interface Expanders {
  /** A word, its quotes resolved. */
  readonly word: (text: string) => string;
  /** The text of a here-document, its quotes left alone. */
  readonly text: (text: string) => string;
}

/** RUN's mounts, ARG's defaults and EXPOSE's ports are expanded where they are read. */
export function expandInstruction(instruction: Instruction, { word, text }: Expanders): Instruction {
  switch (instruction.kind) {
    case "env":
    case "label": {
      const pairs = instruction.pairs.map((pair) => ({
        ...pair,
        key: word(pair.key),
        value: word(pair.value),
      }));
      return { ...instruction, pairs };
    }
    case "copy":
    case "add": {
      const expanded = {
        chown: word(instruction.chown),
        chmod: word(instruction.chmod),
        ...(instruction.kind === "add" ? { checksum: word(instruction.checksum) } : {}),
        sources: instruction.sources.map(word),
        destination: word(instruction.destination),
        inline: instruction.inline.map((file) => (file.expand ? { ...file, data: text(file.data) } : file)),
      };
      return { ...instruction, ...expanded };
    }
    case "workdir":
      return { ...instruction, path: word(instruction.path) };
    case "user":
      return { ...instruction, user: word(instruction.user) };
    case "volume":
      return { ...instruction, volumes: instruction.volumes.map(word) };
    case "stopsignal":
      return { ...instruction, signal: word(instruction.signal) };
    default:
      return instruction;
  }
}
