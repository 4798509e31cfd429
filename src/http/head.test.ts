import { describe, expect, test } from "bun:test";
import { formatHead, parseRequestHead } from "./head.ts";
import { HeadReader } from "./head-reader.ts";

function parse(...lines: string[]) {
  return parseRequestHead(Buffer.from(lines.join("\r\n"), "latin1"));
}

describe("a request head", () => {
  test("is read into its parts", () => {
    const head = parse(
      "POST /v1.51/containers/x/attach?stream=1 HTTP/1.1",
      "Host: docker",
      "Connection: keep-alive, Upgrade",
      "Upgrade: tcp",
      "X-Two:  a\t",
      "x-two: b",
      "Content-Length: 12",
    );
    expect(head.method).toBe("POST");
    expect(head.target).toBe("/v1.51/containers/x/attach?stream=1");
    expect(head.upgrade).toBe("tcp");
    expect(head.headers.get("x-two")).toEqual(["a", "b"]);
    expect(head.framing).toEqual({ kind: "length", length: 12 });
    expect(head.keepAlive).toBe(true);
  });

  test("in a proxy's absolute form means the path", () => {
    expect(parse("GET http://docker/_ping HTTP/1.1", "Host: docker").target).toBe("/_ping");
    expect(parse("GET http://docker?x=1 HTTP/1.1", "Host: docker").target).toBe("/?x=1");
  });

  test("of HTTP/1.0 closes the connection unless asked otherwise", () => {
    expect(parse("GET / HTTP/1.0").keepAlive).toBe(false);
    expect(parse("GET / HTTP/1.0", "Connection: keep-alive").keepAlive).toBe(true);
    expect(parse("GET / HTTP/1.1", "Host: d", "Connection: close").keepAlive).toBe(false);
  });

  const refused: [string, number, string[]][] = [
    ["without a host", 400, ["GET / HTTP/1.1"]],
    ["with two hosts", 400, ["GET / HTTP/1.1", "Host: a", "Host: b"]],
    [
      "with a length and chunks",
      400,
      ["POST / HTTP/1.1", "Host: d", "Content-Length: 1", "Transfer-Encoding: chunked"],
    ],
    ["with two lengths", 400, ["POST / HTTP/1.1", "Host: d", "Content-Length: 1", "Content-Length: 2"]],
    ["with a list of lengths", 400, ["POST / HTTP/1.1", "Host: d", "Content-Length: 1, 1"]],
    ["with a signed length", 400, ["POST / HTTP/1.1", "Host: d", "Content-Length: +1"]],
    ["with a length beyond reason", 400, ["POST / HTTP/1.1", "Host: d", "Content-Length: 99999999999999999"]],
    ["with another coding", 501, ["POST / HTTP/1.1", "Host: d", "Transfer-Encoding: gzip, chunked"]],
    ["with a coding spelled to deceive", 501, ["POST / HTTP/1.1", "Host: d", "Transfer-Encoding: xchunked"]],
    ["with a space before the colon", 400, ["POST / HTTP/1.1", "Host: d", "Content-Length : 1"]],
    ["with folded lines", 400, ["GET / HTTP/1.1", "Host: d", "X: a", " b"]],
    ["with a bare line feed in a value", 400, ["GET / HTTP/1.1", "Host: d", "X: a\nY: b"]],
    ["with a zero byte", 400, ["GET / HTTP/1.1", "Host: d", "X: a\0"]],
    ["with two spaces", 400, ["GET  / HTTP/1.1", "Host: d"]],
    ["without a version", 400, ["GET /"]],
    ["of HTTP/2", 505, ["GET / HTTP/2.0", "Host: d"]],
    ["with a relative target", 400, ["GET info HTTP/1.1", "Host: d"]],
    ["with an unknown expectation", 417, ["GET / HTTP/1.1", "Host: d", "Expect: miracles"]],
  ];
  for (const [what, status, lines] of refused) {
    test(`${what} is refused`, () => {
      try {
        parse(...lines);
      } catch (error) {
        expect((error as { status?: number }).status).toBe(status);
        return;
      }
      throw new Error("was accepted");
    });
  }
});

test("a reply's header cannot be split by its value", () => {
  expect(formatHead(200, "OK", [["X", "a\r\nSet-Cookie: b"]])).toBe(
    "HTTP/1.1 200 OK\r\nX: a  Set-Cookie: b\r\n\r\n",
  );
});

test("a line that ends without a carriage return is refused at once, wherever it is cut", () => {
  const wire = Buffer.from("GET / HTTP/1.1\r\nHost: d\n\n");
  for (let at = 1; at < wire.length; at++) {
    const reader = new HeadReader(1000);
    const pieces = [wire.subarray(0, at), wire.subarray(at)];
    expect(() => pieces.map((piece) => reader.push(piece))).toThrow("carriage return");
  }
});

test("a head is found wherever the bytes are cut, with what came behind it, after empty lines", () => {
  const wire = Buffer.from("\r\n\r\nGET / HTTP/1.1\r\nHost: d\r\n\r\nrest");
  for (const size of [1, 2, 3, 5, 100]) {
    const reader = new HeadReader(1000);
    for (let at = 0; at < wire.length; at += size) {
      const found = reader.push(wire.subarray(at, at + size));
      if (!found) continue;
      expect(found.head.toString()).toBe("GET / HTTP/1.1\r\nHost: d");
      expect("rest").toStartWith(found.rest.toString());
      break;
    }
    expect(reader.begun).toBe(true);
  }
});
