import { describe, expect, test } from "bun:test";
import { findLocated } from "../source/ranges.ts";
import { detectSyntax, directiveValue } from "./directives.ts";
import { parseDockerfile } from "./parse.ts";

const argsOf = (text: string) => parseDockerfile(text).nodes.map((node) => [node.command, ...node.args]);

function failureOf(text: string): { message: string; lines: number[] } {
  try {
    parseDockerfile(text);
  } catch (error) {
    const ranges = findLocated(error)?.locations.flat() ?? [];
    return { message: (error as Error).message, lines: ranges.map((range) => range.start.line) };
  }
  throw new Error("parsed");
}

describe("lines", () => {
  test("are joined where they are continued, with comments and empty lines left out", () => {
    const { nodes, emptyContinuations } = parseDockerfile("FROM x\nRUN a \\\n# note\n\n  b\\\n c\nUSER d\n");
    expect(nodes.map((node) => node.args)).toEqual([["x"], ["a   b c"], ["d"]]);
    expect(nodes[1]).toMatchObject({ startLine: 2, endLine: 6, original: "RUN a   b c" });
    expect(emptyContinuations.map((range) => range.start.line)).toEqual([6]);
  });

  test("an escaped escape letter continues nothing", () => {
    expect(argsOf("RUN a\\\\\nRUN b")).toEqual([
      ["RUN", "a\\\\"],
      ["RUN", "b"],
    ]);
  });

  test("a file without instructions is refused", () => {
    expect(failureOf("# only\n").message).toBe("file with no instructions");
  });

  test("a line beyond 64 KiB is refused, with its place", () => {
    const { message, lines } = failureOf(`FROM x\nRUN ${"x".repeat(70_000)}\n`);
    expect(message).toBe("dockerfile line greater than max allowed size of 65535");
    expect(lines).toEqual([1]);
  });

  test("comments directly above an instruction are kept, an empty one parts them", () => {
    const { nodes } = parseDockerfile("# lost\n#\n# kept\nFROM x\n\n# two\nRUN y");
    expect(nodes.map((node) => node.comments)).toEqual([["kept"], ["two"]]);
  });
});

describe("directives", () => {
  test("the escape letter is set by one, and only at the top", () => {
    expect(argsOf("# escape=`\nFROM a `\n  AS b")).toEqual([["FROM", "a", "AS", "b"]]);
    expect(parseDockerfile("# note\n# escape=`\nFROM a").escape).toBe("\\");
  });

  test("a repeated one and an unknown escape letter are refused", () => {
    expect(failureOf("# escape=`\n# escape=\\\nFROM a").message).toBe(
      "only one escape parser directive can be used",
    );
    expect(failureOf("# escape=x\nFROM a").message).toContain("invalid escape token 'x'");
  });

  test("syntax is found in every form, with what follows it", () => {
    expect(detectSyntax("# syntax=docker/dockerfile:1 x=y\nFROM a")).toMatchObject({
      image: "docker/dockerfile:1",
      cmdline: "docker/dockerfile:1 x=y",
    });
    expect(detectSyntax("\ufeff#!/usr/bin/env x\n# SYNTAX = a/b \nFROM a")).toMatchObject({ image: "a/b" });
    expect(detectSyntax("// syntax=a/b\n")).toMatchObject({ image: "a/b" });
    expect(detectSyntax('{"syntax": "a/b"}')).toMatchObject({ image: "a/b" });
    expect(detectSyntax("FROM a\n# syntax=b")).toBeUndefined();
    expect(directiveValue("check", "# check=skip=all\nFROM a")).toBe("skip=all");
  });
});

describe("arguments", () => {
  test.each<[string, string[]]>([
    ['CMD ["a", "b c"]', ["CMD", "a", "b c"]],
    ["CMD [ -f x ] && y", ["CMD", "[ -f x ] && y"]],
    ["ENV a=b c='d e' f=\\ g", ["ENV", "a", "b", "=", "c", "'d e'", "=", "f", "\\ g", "="]],
    ["ENV a b  c", ["ENV", "a", "b  c", ""]],
    ["COPY  a   b\tc", ["COPY", "a", "b", "c"]],
    ['COPY ["a b", "c"]', ["COPY", "a b", "c"]],
    ["HEALTHCHECK --interval=1s CMD x  y", ["HEALTHCHECK", "CMD", "x  y"]],
    ["ONBUILD RUN x y", ["ONBUILD", "RUN", "x y"]],
    ["LABEL a=", ["LABEL", "a", "", "="]],
    ["UNKNOWN x", ["UNKNOWN"]],
  ])("%s", (line, args) => expect(argsOf(line)).toEqual([args]));

  test("flags end at the first word that is none, or at two dashes", () => {
    const { nodes } = parseDockerfile('RUN --mount=type="cache" --network=none -- --x\nCOPY --link a --b');
    expect(nodes.map(({ flags, args }) => [flags, args])).toEqual([
      [["--mount=type=cache", "--network=none"], ["--x"]],
      [["--link"], ["a", "--b"]],
    ]);
  });

  test("a JSON array of anything but strings is refused, with its lines", () => {
    expect(failureOf('FROM x\nCMD ["a", \\\n 1]')).toEqual({
      message: "when using JSON array syntax, arrays must be comprised of strings only",
      lines: [2, 3],
    });
  });
});

describe("here-documents", () => {
  const bodies = (text: string) => parseDockerfile(text).nodes.map((node) => node.heredocs);

  test("belong to RUN, COPY, ADD and their triggers, several to a line", () => {
    const [run, copy, trigger] = bodies(
      "RUN <<A cat <<-'B'\n1\nA\n\t2\n\tB\nCOPY << C /x\n3\nC\nONBUILD RUN <<D\nD",
    );
    expect(run?.map(({ name, expand, chomp, content }) => [name, expand, chomp, content])).toEqual([
      ["A", true, false, "1\n"],
      ["B", false, true, "\t2\n"],
    ]);
    expect(copy?.[0]).toMatchObject({ name: "C", content: "3\n" });
    expect(trigger?.[0]).toMatchObject({ name: "D", content: "" });
  });

  test("are none in other instructions, in JSON, and in quotes", () => {
    const [label, json, quoted] = bodies('LABEL a=<<EOF\nRUN ["cat", "<<EOF"]\nRUN echo \'<<EOF\'');
    expect([label, json, quoted]).toEqual([[], [], []]);
  });

  test("without an end are refused", () => {
    expect(failureOf("FROM x\nRUN <<EOF\nno end")).toEqual({
      message: "unterminated heredoc",
      lines: [2, 3],
    });
  });
});
