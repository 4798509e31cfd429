import { describe, expect, test } from "bun:test";
import {
  addressOfReverseName,
  answers,
  encodeAnswer,
  encodeName,
  isTruncated,
  parseQuestion,
  RCODE,
  TYPE,
  truncated,
  withId,
} from "./message.ts";

/** `dig web.app A` with EDNS, as dig sends it: id 0x1234, RD, one question, OPT of 1232 bytes. */
const query = Buffer.from(
  "123401000001000000000001037765620341505000000100010000290" + "4d0000000000000",
  "hex",
);

describe("questions", () => {
  test("are read with their EDNS size, in lower case", () => {
    expect(parseQuestion(query)).toMatchObject({
      ...{ id: 0x1234, name: "web.app", type: TYPE.A, internet: true },
      ...{ udpSize: 1232, edns: true, recursionDesired: true },
    });
    const plain = Buffer.concat([query.subarray(0, 11), Buffer.of(0), query.subarray(12, 25)]);
    expect(parseQuestion(plain)).toMatchObject({ udpSize: 512, edns: false });
  });

  test("that are cut off anywhere, compressed, or answers are no questions", () => {
    for (let length = 0; length < 25; length++)
      expect(parseQuestion(query.subarray(0, length))).toBeUndefined();
    const compressed = Buffer.from(query);
    compressed[12] = 0xc0;
    expect(parseQuestion(compressed)).toBeUndefined();
    const response = Buffer.from(query);
    response[2] = 0x81;
    expect(parseQuestion(response)).toBeUndefined();
    const two = Buffer.from(query);
    two[5] = 2;
    expect(parseQuestion(two)).toBeUndefined();
  });
});

describe("answers", () => {
  const question = parseQuestion(query);
  if (!question) throw new Error("the question is fine");

  test("repeat the question as it was asked and point to its name", () => {
    const answer = encodeAnswer(question, RCODE.NOERROR, [{ type: TYPE.A, data: Buffer.of(10, 0, 0, 2) }]);
    expect(answer.toString("hex")).toBe(
      "123481800001000100000001" +
        "03776562034150500000010001" +
        "c00c00010001000002580004" +
        "0a000002" +
        "00002904d0000000000000",
    );
  });

  test("that are too long are cut between records and say so", () => {
    const records = Array.from({ length: 100 }, (_, i) => ({ type: TYPE.A, data: Buffer.of(10, 0, 0, i) }));
    const answer = encodeAnswer(question, RCODE.NOERROR, records, 512);
    expect(answer.length).toBeLessThanOrEqual(512);
    expect(isTruncated(answer)).toBe(true);
    expect(answer.readUInt16BE(6)).toBe(29);
  });

  test("from above count only with the right id and question", () => {
    const answer = encodeAnswer({ ...question, id: 7 }, RCODE.NOERROR);
    expect(answers(answer, 7, question)).toBe(true);
    expect(answers(answer, 8, question)).toBe(false);
    expect(answers(withId(query, 7), 7, question)).toBe(false);
    const other = Buffer.from(answer);
    other.write("x", 13, "latin1");
    expect(answers(other, 7, question)).toBe(false);
  });

  test("cut to nothing keep the question", () => {
    const full = encodeAnswer(question, RCODE.NOERROR, [{ type: TYPE.A, data: Buffer.of(10, 0, 0, 2) }]);
    const short = truncated(full, question);
    expect([isTruncated(short), short.length, short.readUInt16BE(6)]).toEqual([true, 25, 0]);
  });
});

test("names of reverse questions are addresses, others are not", () => {
  expect(addressOfReverseName("2.0.17.172.in-addr.arpa")).toBe("172.17.0.2");
  const v6 = `2.${"0.".repeat(27)}0.0.d.f.ip6.arpa`;
  expect(addressOfReverseName(v6)).toBe("fd00:0000:0000:0000:0000:0000:0000:0002");
  expect(addressOfReverseName("web.app")).toBeUndefined();
  expect(encodeName("web.app")?.toString("hex")).toBe("03776562036170700" + "0");
  expect(encodeName("a..b")).toBeUndefined();
  expect(encodeName(`${"x".repeat(64)}.b`)).toBeUndefined();
});
