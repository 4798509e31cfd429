/** What a template is once it has been read: nodes, pipelines, operands, and the places that errors name. Types alone. */

export type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly pipeline: Pipeline }
  | { readonly kind: "if"; readonly pipeline: Pipeline; readonly body: Node[]; readonly otherwise: Node[] }
  | { readonly kind: "with"; readonly pipeline: Pipeline; readonly body: Node[]; readonly otherwise: Node[] }
  | { readonly kind: "range"; readonly pipeline: Pipeline; readonly body: Node[]; readonly otherwise: Node[] }
  | ({ readonly kind: "template"; readonly name: string; readonly pipeline: Pipeline | undefined } & Place)
  | { readonly kind: "break" }
  | { readonly kind: "continue" };

export interface Pipeline {
  readonly variables: readonly string[];
  readonly declares: boolean;
  readonly commands: readonly (readonly Operand[])[];
  /** As Go would write it, for error texts. */
  readonly source: string;
}

export interface Place {
  readonly at: number;
  /** As Go would write it, for error texts. */
  readonly source: string;
}

export type Operand = Place &
  (
    | { readonly kind: "constant"; readonly value: unknown }
    | { readonly kind: "dot" }
    | { readonly kind: "field"; readonly names: readonly string[] }
    | { readonly kind: "variable"; readonly name: string; readonly names: readonly string[] }
    | { readonly kind: "function"; readonly name: string }
    | { readonly kind: "nested"; readonly pipeline: Pipeline; readonly names: readonly string[] }
  );

/** A template's text and what became of it: its own nodes and those that it defines by name. */
export interface Parsed {
  readonly name: string;
  readonly source: string;
  readonly nodes: readonly Node[];
  readonly defined: ReadonlyMap<string, readonly Node[]>;
}

/** As Go would write it, for error texts. */
export function commandSource(operands: readonly Operand[]): string {
  return operands.map(({ source }) => source).join(" ");
}
