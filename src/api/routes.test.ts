import { expect, test } from "bun:test";
import { routes } from "./routes.ts";

test("the table has every operation of the Engine API once", () => {
  // The list of networks has two paths; clearing a log is an extension.
  expect(routes.length).toBe(112);
  expect(new Set(routes.map((route) => route.operation)).size).toBe(111);
  expect(new Set(routes.map((route) => `${route.method} ${route.path}`)).size).toBe(112);
});

test("only requests that may have a body have one", () => {
  for (const route of routes) {
    if (route.method === "GET" || route.method === "HEAD" || route.method === "DELETE") {
      expect([route.operation, route.body]).toEqual([route.operation, "none"]);
    }
  }
});
