/** The data of a template whose fields are computed on demand. */
import { encodeJson, formatValue, GoValue } from "./go-value.ts";

/** A value whose fields are computed on demand, as methods of Go contexts are. */
export class TemplateObject extends GoValue {
  /** For error texts: `*formatter.ContainerContext`. */
  readonly typeName: string;
  readonly methods: Readonly<Record<string, (...args: string[]) => unknown>>;

  constructor(typeName: string, methods: Readonly<Record<string, (...args: string[]) => unknown>>) {
    super();
    this.typeName = typeName;
    this.methods = methods;
  }

  /** What `{{json .}}` prints: every method without arguments, sorted by name, with HTML escaped. */
  json(): string {
    return encodeJson(this.#plain()).replace(
      /[<>&]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  }

  print(): string {
    return formatValue(this.#plain());
  }

  isTrue(): boolean {
    return true;
  }

  #plain(): Record<string, unknown> {
    const plain = Object.entries(this.methods).filter(([, method]) => method.length === 0);
    return Object.fromEntries(plain.map(([name, method]) => [name, method()]));
  }
}
