/**
 * Protobuf messages as tables: `message({ ref: string(1), … })` is at once the type, the encoder and the decoder. The
 * wire format itself is @bufbuild/protobuf's.
 *
 * proto3: absent fields read as their empty value and empty values are not written; unknown fields are skipped. Encoding
 * is deterministic: fields by number, maps by key.
 */
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { InvalidParameterError } from "../../../core/errors.ts";

export interface Field<T> {
  readonly number: number;
  readonly empty: () => T;
  readonly write: (writer: BinaryWriter, value: T) => void;
  /** Reads one occurrence; `before` is what earlier ones gave. */
  readonly read: (reader: BinaryReader, wireType: WireType, before: T, depth: number) => T;
}

// biome-ignore lint/suspicious/noExplicitAny: a table holds fields of every type.
type Fields = Readonly<Record<string, Field<any>>>;
type Shape<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

export interface Message<T> {
  /** Fields that are left out are written as empty. */
  encode(value: Partial<T>): Uint8Array;
  /** @throws InvalidParameterError if the bytes are no such message */
  decode(bytes: Uint8Array): T;
  readonly empty: () => T;
  readonly read: (reader: BinaryReader, length: number, depth: number) => T;
  readonly write: (writer: BinaryWriter, value: Partial<T>) => void;
}

/** The type of a message's values. */
export type Value<M> = M extends Message<infer T> ? T : never;

/** Messages within messages beyond this are nobody's honest ones. */
const DEEPEST = 100;

export function message<F extends Fields>(fields: F): Message<Shape<F>> {
  const inOrder = Object.entries(fields).sort(([, a], [, b]) => a.number - b.number);
  const byNumber = new Map(Object.entries(fields).map(([name, field]) => [field.number, { name, field }]));
  const empty = () => Object.fromEntries(inOrder.map(([name, field]) => [name, field.empty()])) as Shape<F>;
  const write = (writer: BinaryWriter, value: Partial<Shape<F>>) => {
    for (const [name, field] of inOrder) {
      const given = value[name];
      if (given !== undefined) field.write(writer, given);
    }
  };
  const read = (reader: BinaryReader, length: number, depth: number) => {
    if (depth > DEEPEST) throw new InvalidParameterError("protobuf: message nested too deeply");
    const end = reader.pos + length;
    if (end > reader.len) throw new InvalidParameterError("protobuf: message ends too early");
    const value = empty() as Record<string, unknown>;
    while (reader.pos < end) {
      const [number, wireType] = reader.tag();
      const known = byNumber.get(number);
      if (known) value[known.name] = known.field.read(reader, wireType, value[known.name], depth + 1);
      else reader.skip(wireType, number);
    }
    if (reader.pos !== end) throw new InvalidParameterError("protobuf: field ends beyond its message");
    return value as Shape<F>;
  };
  return {
    empty,
    write,
    read,
    encode(value) {
      const writer = new BinaryWriter();
      write(writer, value);
      return writer.finish();
    },
    decode(bytes) {
      try {
        return read(new BinaryReader(bytes), bytes.length, 0);
      } catch (error) {
        if (error instanceof InvalidParameterError) throw error;
        throw new InvalidParameterError(`protobuf: ${(error as Error).message}`, { cause: error });
      }
    },
  };
}

/** A message that holds itself, or one that is declared further down. */
export function lazily<T>(of: () => Message<T>): Message<T> {
  return {
    empty: () => of().empty(),
    encode: (value) => of().encode(value),
    decode: (bytes) => of().decode(bytes),
    read: (reader, length, depth) => of().read(reader, length, depth),
    write: (writer, value) => of().write(writer, value),
  };
}

interface Scalar<T> {
  readonly wireType: WireType;
  readonly empty: T;
  readonly write: (writer: BinaryWriter, value: T) => void;
  readonly read: (reader: BinaryReader) => T;
}

const NO_BYTES = new Uint8Array(0);

const scalars = {
  string: {
    wireType: WireType.LengthDelimited,
    empty: "",
    write: (writer, value) => writer.string(value),
    read: (reader) => reader.string(),
  } satisfies Scalar<string>,
  bytes: {
    wireType: WireType.LengthDelimited,
    empty: NO_BYTES,
    write: (writer, value) => writer.bytes(value),
    read: (reader) => reader.bytes(),
  } satisfies Scalar<Uint8Array>,
  bool: {
    wireType: WireType.Varint,
    empty: false,
    write: (writer, value) => writer.bool(value),
    read: (reader) => reader.bool(),
  } satisfies Scalar<boolean>,
  int32: {
    wireType: WireType.Varint,
    empty: 0,
    write: (writer, value) => writer.int32(value),
    read: (reader) => reader.int32(),
  } satisfies Scalar<number>,
  uint32: {
    wireType: WireType.Varint,
    empty: 0,
    write: (writer, value) => writer.uint32(value),
    read: (reader) => reader.uint32(),
  } satisfies Scalar<number>,
  int64: {
    wireType: WireType.Varint,
    empty: 0,
    write: (writer, value) => writer.int64(Math.trunc(value)),
    read: (reader) => safeNumber(BigInt(reader.int64())),
  } satisfies Scalar<number>,
  bigint: {
    wireType: WireType.Varint,
    empty: 0n,
    write: (writer, value) => writer.int64(value),
    read: (reader) => BigInt(reader.int64()),
  } satisfies Scalar<bigint>,
} as const;

function safeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new InvalidParameterError(`protobuf: ${value} is out of range`);
  return number;
}

function scalarField<T>(number: number, scalar: Scalar<T>): Field<T> {
  return {
    number,
    empty: () => scalar.empty,
    write(writer, value) {
      const isEmpty = value instanceof Uint8Array ? value.length === 0 : value === scalar.empty;
      if (!isEmpty) scalar.write(writer.tag(number, scalar.wireType), value);
    },
    read(reader, wireType) {
      requireWireType(number, wireType, scalar.wireType);
      return scalar.read(reader);
    },
  };
}

export const string = (number: number): Field<string> => scalarField(number, scalars.string);
export const bytes = (number: number): Field<Uint8Array> => scalarField(number, scalars.bytes);
export const bool = (number: number): Field<boolean> => scalarField(number, scalars.bool);
export const int32 = (number: number): Field<number> => scalarField(number, scalars.int32);
export const uint32 = (number: number): Field<number> => scalarField(number, scalars.uint32);
/** As a number; what is beyond 2⁵³ is refused. */
export const int64 = (number: number): Field<number> => scalarField(number, scalars.int64);
export const bigInt64 = (number: number): Field<bigint> => scalarField(number, scalars.bigint);

/** A word for each number from 0; numbers that have none are refused. */
export function enumeration<const W extends string>(number: number, words: readonly W[]): Field<W> {
  const first = words[0] as W;
  return {
    number,
    empty: () => first,
    write(writer, value) {
      const index = words.indexOf(value);
      if (index > 0) writer.tag(number, WireType.Varint).int32(index);
    },
    read(reader, wireType) {
      requireWireType(number, wireType, WireType.Varint);
      const index = reader.int32();
      const word = words[index];
      if (word === undefined)
        throw new InvalidParameterError(`protobuf: unknown value ${index} of field ${number}`);
      return word;
    },
  };
}

/** A message, or undefined where there is none. */
export function nested<T>(number: number, of: Message<T>): Field<T | undefined> {
  return {
    number,
    empty: () => undefined,
    write(writer, value) {
      if (value !== undefined) writeNested(writer, number, of, value);
    },
    read: (reader, wireType, _, depth) => readNested(reader, wireType, number, of, depth),
  };
}

export function messages<T>(number: number, of: Message<T>): Field<readonly T[]> {
  return {
    number,
    empty: () => [],
    write(writer, values) {
      for (const value of values) writeNested(writer, number, of, value);
    },
    read: (reader, wireType, before, depth) =>
      appended(before, readNested(reader, wireType, number, of, depth)),
  };
}

export const strings = (number: number): Field<readonly string[]> => repeated(number, scalars.string);
export const byteStrings = (number: number): Field<readonly Uint8Array[]> => repeated(number, scalars.bytes);
export const int32s = (number: number): Field<readonly number[]> => packed(number, scalars.int32);
export const uint32s = (number: number): Field<readonly number[]> => packed(number, scalars.uint32);
export const int64s = (number: number): Field<readonly number[]> => packed(number, scalars.int64);

function repeated<T>(number: number, scalar: Scalar<T>): Field<readonly T[]> {
  return {
    number,
    empty: () => [],
    write(writer, values) {
      for (const value of values) scalar.write(writer.tag(number, scalar.wireType), value);
    },
    read(reader, wireType, before) {
      requireWireType(number, wireType, scalar.wireType);
      return appended(before, scalar.read(reader));
    },
  };
}

/** Numbers in a row; readers must take them one by one as well. */
function packed(number: number, scalar: Scalar<number>): Field<readonly number[]> {
  return {
    number,
    empty: () => [],
    write(writer, values) {
      if (values.length === 0) return;
      writer.tag(number, WireType.LengthDelimited).fork();
      for (const value of values) scalar.write(writer, value);
      writer.join();
    },
    read(reader, wireType, before) {
      if (wireType === scalar.wireType) return appended(before, scalar.read(reader));
      requireWireType(number, wireType, WireType.LengthDelimited);
      const end = reader.uint32() + reader.pos;
      if (end > reader.len) throw new InvalidParameterError("protobuf: numbers end too early");
      while (reader.pos < end) appended(before, scalar.read(reader));
      return before;
    },
  };
}

type MapOf<T> = ReadonlyMap<string, T>;

export const stringMap = (number: number): Field<MapOf<string>> =>
  mapField(number, string(2), (value) => value);
export const bytesMap = (number: number): Field<MapOf<Uint8Array>> =>
  mapField(number, bytes(2), (value) => value);
export const boolMap = (number: number): Field<MapOf<boolean>> => mapField(number, bool(2), (value) => value);
export function messageMap<T>(number: number, of: Message<T>): Field<MapOf<T>> {
  return mapField(number, nested(2, of), (value) => value ?? of.empty());
}

/** A map is a list of entries: key is field 1, value is field 2. Integer keys are given as decimal text. */
function mapField<E, T extends E>(
  number: number,
  value: Field<E>,
  complete: (value: E) => T,
  key: Field<string> = string(1),
): Field<MapOf<T>> {
  const entry = message({ key, value });
  return {
    number,
    empty: () => new Map(),
    write(writer, map) {
      for (const name of [...map.keys()].sort()) {
        writeNested(writer, number, entry, { key: name, value: map.get(name) as E });
      }
    },
    read(reader, wireType, before, depth) {
      const { key: name, value: given } = readNested(reader, wireType, number, entry, depth);
      return (before as Map<string, T>).set(name, complete(given as E));
    },
  };
}

/** A map whose keys are 64-bit integers. */
export function integerMap<T>(number: number, of: Message<T>): Field<MapOf<T>> {
  const { wireType } = scalars.int64;
  const key: Field<string> = {
    number: 1,
    empty: () => "0",
    write: (writer, value) => writer.tag(1, wireType).int64(value),
    read: (reader) => String(reader.int64()),
  };
  return mapField(number, nested(2, of), (value) => value ?? of.empty(), key);
}

function writeNested<T>(writer: BinaryWriter, number: number, of: Message<T>, value: Partial<T>): void {
  writer.tag(number, WireType.LengthDelimited).fork();
  of.write(writer, value);
  writer.join();
}

function readNested<T>(
  reader: BinaryReader,
  wireType: WireType,
  number: number,
  of: Message<T>,
  depth: number,
): T {
  requireWireType(number, wireType, WireType.LengthDelimited);
  return of.read(reader, reader.uint32(), depth);
}

/** Lists grow in place while they are read: nobody else has them yet. */
function appended<T>(list: readonly T[], value: T): readonly T[] {
  (list as T[]).push(value);
  return list;
}

function requireWireType(number: number, given: WireType, expected: WireType): void {
  if (given !== expected) throw new InvalidParameterError(`protobuf: field ${number} has wire type ${given}`);
}
