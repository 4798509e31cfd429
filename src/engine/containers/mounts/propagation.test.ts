import { describe, expect, test } from "bun:test";
import { parseBind, parseMount } from "./mount-specs.ts";
import { withDataRootPropagation } from "./propagation.ts";

/** moby's TestMountDaemonRoot. */
describe("a bind mount of the data root, or around it", () => {
  const root = "/var/lib/engine";
  for (const source of ["/var/lib/engine", "/var/lib/engine/volumes", "/var/lib", "/"]) {
    test(`${source} is a slave of the host's unless asked otherwise`, async () => {
      expect(withDataRootPropagation(parseBind(`${source}:/d`, ""), root).propagation).toBe("rslave");
      const mount = {
        Type: "bind",
        Source: source,
        Target: "/d",
        BindOptions: { CreateMountpoint: true },
      } as const;
      expect(withDataRootPropagation(await parseMount(mount), root).propagation).toBe("rslave");
    });
    for (const mode of ["rslave", "rshared"]) {
      test(`${source} may be ${mode}`, () => {
        expect(withDataRootPropagation(parseBind(`${source}:/d:${mode}`, ""), root).propagation).toBe(mode);
      });
    }
    for (const mode of ["private", "rprivate", "slave", "shared"]) {
      test(`${source} may not be ${mode}`, () => {
        expect(() => withDataRootPropagation(parseBind(`${source}:/d:${mode}`, ""), root)).toThrow(
          'must use either propagation mode "rslave" or "rshared" when mount source is within the daemon root',
        );
      });
    }
  }

  test("others are left alone, also where the name only begins like it", () => {
    for (const source of ["/srv", "/var/lib/engine2", "/var/lib/eng"]) {
      expect(withDataRootPropagation(parseBind(`${source}:/d`, ""), root).propagation).toBe("rprivate");
      expect(withDataRootPropagation(parseBind(`${source}:/d:shared`, ""), root).propagation).toBe("shared");
    }
    expect(withDataRootPropagation(parseBind("volume:/d", ""), root).propagation).toBe("");
  });
});
