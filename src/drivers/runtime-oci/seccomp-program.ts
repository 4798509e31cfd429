/**
 * Hands crun the compiled seccomp program along with the rules: crun then loads it instead of compiling the rules
 * anew for each container, which would take as long as all the rest of its work. The rules stay in the spec: a crun
 * that no longer knows the annotation compiles them, and the file still tells a reader what holds.
 * @see crun(1), run.oci.seccomp_bpf_data
 */
import type { RuntimeSpec } from "../../core/runtime-spec.ts";
import { compileSeccomp, type SeccompRules } from "../../linux/seccomp.ts";

const ANNOTATION = "run.oci.seccomp_bpf_data";

/** One program per set of rules: few, since rules only differ by capabilities and by profiles that users bring. */
const MOST_PROGRAMS = 32;
const programs = new Map<string, string | undefined>();

/** The spec as crun gets it. What a request put under the annotation's name never gets through. */
export function withSeccompProgram(spec: RuntimeSpec): RuntimeSpec {
  const { [ANNOTATION]: _reserved, ...annotations } = spec.annotations ?? {};
  const rules = spec.linux.seccomp;
  const program = rules === undefined ? undefined : programOf(rules as SeccompRules);
  return {
    ...spec,
    annotations: program === undefined ? annotations : { ...annotations, [ANNOTATION]: program },
  };
}

/** Base64. Undefined: the runtime has to compile, as for rules that hand decisions to a listener. */
function programOf(rules: SeccompRules & { listenerPath?: string }): string | undefined {
  if (rules.listenerPath) return undefined;
  const key = JSON.stringify(rules);
  if (!programs.has(key)) {
    if (programs.size >= MOST_PROGRAMS) programs.clear();
    const program = compileSeccomp(rules);
    programs.set(key, program && Buffer.from(program).toString("base64"));
  }
  return programs.get(key);
}
