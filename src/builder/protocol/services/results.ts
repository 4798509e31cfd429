/** Results of frontends between the wire and here: references by id, metadata, attestations. */
import { InvalidParameterError } from "../../../core/errors.ts";
import type { Attestation, FrontendResult, MaybeReference, Reference } from "../../frontend.ts";
import { toDefinitionMessage } from "../definitions.ts";
import type { Result } from "../messages/gateway.ts";
import type { Value } from "../wire/message.ts";

export type ResultValue = Value<typeof Result>;
type RefValue = NonNullable<ResultValue["ref"]>;
type AttestationValue = NonNullable<ReturnType<ResultValue["attestations"]["get"]>>["attestations"][number];

/** References that a client was given, by the ids that it names them by. */
export class ReferenceTable {
  readonly #references = new Map<string, Reference>();

  /** @throws InvalidParameterError for an id that was not given */
  get(id: string): Reference {
    const reference = this.#references.get(id);
    if (!reference) throw new InvalidParameterError(`no such ref: ${id}`);
    return reference;
  }

  toMessage(result: FrontendResult): ResultValue {
    const only = result.refs.size <= 1 && (result.refs.has("") || result.refs.size === 0);
    const refs = new Map([...result.refs].map(([key, ref]) => [key, this.#toRef(ref)]));
    const attestations = [...result.attestations].map(
      ([key, list]) => [key, { attestations: list.map((entry) => this.#toAttestation(entry)) }] as const,
    );
    return {
      oldRef: "",
      oldRefs: undefined,
      ref: only ? (refs.get("") ?? this.#toRef(undefined)) : undefined,
      refs: only ? undefined : { refs },
      metadata: result.metadata,
      attestations: new Map(attestations),
    };
  }

  fromMessage(value: ResultValue): FrontendResult {
    const attestations = [...value.attestations].map(
      ([key, list]) => [key, list.attestations.map((entry) => this.#fromAttestation(entry))] as const,
    );
    return {
      refs: this.#refsOf(value),
      metadata: value.metadata,
      attestations: new Map(attestations),
    };
  }

  #refsOf({ ref, refs, oldRef, oldRefs }: ResultValue): Map<string, MaybeReference> {
    if (refs) return new Map([...refs.refs].map(([key, entry]) => [key, this.#fromId(entry.id)]));
    if (oldRefs) return new Map([...oldRefs.refs].map(([key, id]) => [key, this.#fromId(id)]));
    return new Map([["", this.#fromId(ref?.id ?? oldRef)]]);
  }

  #fromId(id: string): MaybeReference {
    return id === "" ? undefined : this.get(id);
  }

  /** The definition goes along: builds of one file hand it to one another. */
  #toRef(reference: MaybeReference): RefValue {
    if (!reference) return { id: "", def: undefined };
    this.#references.set(reference.id, reference);
    return { id: reference.id, def: toDefinitionMessage(reference.definition) };
  }

  #toAttestation(attestation: Attestation): AttestationValue {
    return { ...attestation, ref: attestation.ref && this.#toRef(attestation.ref) };
  }

  #fromAttestation(value: AttestationValue): Attestation {
    return { ...value, ref: this.#fromId(value.ref?.id ?? "") };
  }
}
