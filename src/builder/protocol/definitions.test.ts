import { describe, expect, test } from "bun:test";
import { digestOf } from "../../core/digests.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import { DefinitionBuilder } from "../graph/builder.ts";
import type { Op } from "../graph/ops.ts";
import { decodeDefinition, encodeDefinition } from "./definitions.ts";
import { DefinitionMessage, OpMessage } from "./messages/llb.ts";
import { decodeOp, encodeOp } from "./ops.ts";

const source = (identifier: string): Op => ({
  inputs: [],
  op: { type: "source", identifier, attrs: { a: "b" } },
});

function sample() {
  const graph = new DefinitionBuilder(encodeOp, [
    { filename: "Dockerfile", data: new TextEncoder().encode("FROM x"), language: "Dockerfile" },
  ]);
  const base = graph.add(source("docker-image://docker.io/library/x:latest"));
  const context = graph.add(source("local://context"), {
    metadata: { description: { "llb.customname": "context" }, caps: { "source.local": true } },
  });
  const copied = graph.add(
    {
      inputs: [base, context],
      op: {
        type: "file",
        actions: [
          {
            input: 0,
            secondaryInput: 1,
            output: 0,
            action: {
              type: "copy",
              src: "/a",
              dest: "/b/",
              owner: { user: { by: "id", id: 0 }, group: { by: "name", name: "g", input: 0 } },
              mode: -1,
              followSymlink: true,
              dirCopyContents: true,
              attemptUnpackDockerCompatibility: false,
              createDestPath: true,
              allowWildcard: true,
              allowEmptyWildcard: true,
              timestamp: -1n,
              includePatterns: ["x"],
              excludePatterns: [],
              alwaysReplaceExistingDestPaths: false,
              modeStr: "",
              requiredPaths: [],
            },
          },
        ],
      },
      platform: { os: "linux", architecture: "arm64", variant: "v8" },
    },
    {
      locations: [
        { sourceIndex: 0, ranges: [{ start: { line: 1, character: 0 }, end: { line: 1, character: 0 } }] },
      ],
    },
  );
  return graph.toDefinition(copied);
}

test("a definition comes back as it was", () => {
  const definition = sample();
  expect(decodeDefinition(encodeDefinition(definition))).toEqual(definition);
});

test("bytes that a vertex came as are kept, unknown fields and all", () => {
  const known = encodeOp(source("local://context"));
  const bytes = new Uint8Array([...known, 0xf8, 0x3f, 1]);
  const end = OpMessage.encode({ inputs: [{ digest: digestOf(bytes), index: 0 }] });
  const definition = decodeDefinition(
    DefinitionMessage.encode({ def: [bytes, end], metadata: new Map(), source: undefined }),
  );
  expect(definition.result?.digest).toBe(digestOf(bytes));
  expect(DefinitionMessage.decode(encodeDefinition(definition)).def[0]).toEqual(bytes);
});

test("no vertices are an empty file system", () => {
  expect(decodeDefinition(new Uint8Array()).result).toBeUndefined();
});

describe("S09: malformed graphs are refused", () => {
  const file = (index: number) =>
    OpMessage.encode({
      inputs: [],
      file: {
        actions: [
          {
            input: index,
            secondaryInput: -1,
            output: 0,
            copy: undefined,
            mkfile: undefined,
            mkdir: undefined,
            symlink: undefined,
            rm: { path: "/", allowNotFound: false, allowWildcard: false },
          },
        ],
      },
    });

  test("an index that points outside of the inputs", () => {
    expect(() => decodeOp(file(7))).toThrow("index 7 out of range");
    expect(() => decodeOp(file(-2))).toThrow(InvalidParameterError);
    expect(() => decodeOp(file(0))).toThrow("out of range");
  });

  test("an input that nobody defines, an op without work, a program without arguments", () => {
    const dangling = OpMessage.encode({
      inputs: [{ digest: digestOf("x"), index: 0 }],
      merge: { inputs: [] },
    });
    const end = OpMessage.encode({ inputs: [{ digest: digestOf(dangling), index: 0 }] });
    const bytes = DefinitionMessage.encode({ def: [dangling, end], metadata: new Map(), source: undefined });
    expect(() => decodeDefinition(bytes)).toThrow("no op has the digest");
    expect(() => decodeOp(new Uint8Array())).toThrow("without work");
    expect(() =>
      decodeOp(
        OpMessage.encode({
          exec: {
            meta: undefined,
            mounts: [],
            network: "sandbox",
            security: "sandbox",
            secretEnv: [],
            cdiDevices: [],
          },
        }),
      ),
    ).toThrow("without arguments");
  });

  test("any bytes at all: an error of the request or a definition", () => {
    const valid = encodeDefinition(sample());
    let seed = 42;
    const random = (limit: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed % limit;
    };
    for (let round = 0; round < 3000; round++) {
      const bytes = valid.slice(0, 1 + random(valid.length));
      for (let change = random(4); change >= 0; change--) bytes[random(bytes.length)] = random(256);
      try {
        decodeDefinition(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidParameterError);
      }
    }
  });

  test("messages within messages without end", () => {
    let bytes: Uint8Array = new Uint8Array();
    // A definition's source files may hold a definition: fields 3, 2 and 3.
    for (let depth = 0; depth < 300; depth++) {
      for (const tag of [0x1a, 0x12, 0x1a]) bytes = new Uint8Array([tag, ...lengthOf(bytes), ...bytes]);
    }
    expect(() => DefinitionMessage.decode(bytes)).toThrow("nested too deeply");
  });
});

function lengthOf(bytes: Uint8Array): number[] {
  const digits: number[] = [];
  let rest = bytes.length;
  for (; rest > 127; rest >>= 7) digits.push((rest & 127) | 128);
  return [...digits, rest];
}
