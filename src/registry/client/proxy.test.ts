import { expect, test } from "bun:test";
import { proxyFor } from "./proxy.ts";

const proxies = {
  http: "http://plain.proxy:3128",
  https: "secure.proxy:3129",
  none: "internal.example, .only-below.example,10.0.0.0/8,192.0.2.7,port.example:5000,*.star.example",
};

const cases: [string, string | undefined][] = [
  ["http://registry.example/", "http://plain.proxy:3128"],
  ["https://registry.example/", "http://secure.proxy:3129"],
  ["https://localhost:5000/", undefined],
  ["http://127.0.0.1:5000/", undefined],
  ["http://[::1]:5000/", undefined],
  ["https://internal.example/", undefined],
  ["https://deep.internal.example/", undefined],
  ["https://notinternal.example/", "http://secure.proxy:3129"],
  ["https://only-below.example/", "http://secure.proxy:3129"],
  ["https://a.only-below.example/", undefined],
  ["https://a.star.example/", undefined],
  ["http://10.1.2.3/", undefined],
  ["http://192.0.2.7/", undefined],
  ["http://192.0.2.8/", "http://plain.proxy:3128"],
  ["http://port.example:5000/", undefined],
  ["http://port.example/", "http://plain.proxy:3128"],
];
for (const [url, proxy] of cases) {
  test(`${url} goes ${proxy ? "through the proxy" : "directly"}`, () => {
    expect(proxyFor(new URL(url), proxies)).toBe(proxy);
  });
}

test("everything goes directly with a star, or without proxies", () => {
  expect(proxyFor(new URL("http://a.example/"), { ...proxies, none: "*" })).toBeUndefined();
  expect(proxyFor(new URL("http://a.example/"), undefined)).toBeUndefined();
});
