import { expect, test } from "bun:test";
import { DecodeError } from "../api/decode.ts";
import { ConflictError, NoSpaceError, NotFoundError, NotModifiedError, SystemError } from "../core/errors.ts";
import { toHttpError } from "./http-errors.ts";

test("each class of error has its status, and the message is the engine's", () => {
  expect(toHttpError(new NotFoundError("No such container: x"), "Op")).toEqual({
    status: 404,
    message: "No such container: x",
  });
  expect(toHttpError(new ConflictError("c"), "Op").status).toBe(409);
  expect(toHttpError(new NotModifiedError("n"), "Op").status).toBe(304);
  expect(toHttpError(new DecodeError("d"), "Op").status).toBe(400);
});

test("a full disk is named, however deep it lies", () => {
  const full = Object.assign(new Error("write failed"), { code: "ENOSPC" });
  const expected = { status: 500, message: "no space left on device: write failed" };
  expect(toHttpError(full, "Op")).toEqual(expected);
  expect(toHttpError(Object.assign(new Error("write failed"), { code: "EDQUOT" }), "Op")).toEqual(expected);
  expect(toHttpError(new SystemError("cannot store", { cause: full }), "Op").message).toContain(
    "no space left",
  );
  expect(toHttpError(new NoSpaceError("no space left on device"), "Op").message).toBe(
    "no space left on device",
  );
});

test("anything may be thrown", () => {
  expect(toHttpError("text", "Op")).toEqual({ status: 500, message: "text" });
  expect(toHttpError(undefined, "Op").status).toBe(500);
  expect(toHttpError(new Error(""), "Op")).toEqual({ status: 500, message: "unknown error" });
});
