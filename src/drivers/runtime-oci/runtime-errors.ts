/**
 * The runtime's error text in Docker's words. Scripts and `docker run` look for "executable file not found" (127),
 * "no such file or directory" (127) and "permission denied" (126).
 * @see moby daemon/errors.go (translateContainerdStartErr), runc libcontainer/standard_init_linux.go
 */
import { SystemError } from "../../core/errors.ts";

const CREATE_PREFIX =
  "failed to create task for container: failed to create shim task: OCI runtime create failed: runtime create failed: unable to start container process: ";
const EXEC_PREFIX = "OCI runtime exec failed: exec failed: unable to start container process: ";

/** @param text what the runtime wrote to stderr @param program `args[0]` of the process */
export function runtimeError(operation: "create" | "exec", text: string, program: string): SystemError {
  const prefix = operation === "create" ? CREATE_PREFIX : EXEC_PREFIX;
  return new SystemError(`${prefix}${describe(cleanText(text), program)}: unknown`, { subject: program });
}

/** The last message of a log in either of the forms that crun and runc write. */
function cleanText(text: string): string {
  const lines = text.trim().split("\n").filter(Boolean);
  const last = lines.at(-1) ?? "the runtime said nothing";
  const quoted = /level=(?:error|fatal) msg="((?:[^"\\]|\\.)*)"/.exec(last)?.[1];
  const plain = quoted === undefined ? last : quoted.replace(/\\(["\\])/g, "$1");
  return plain.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z: /, "").replace(/^runc (?:create|run|exec) failed: /, "");
}

function describe(text: string, program: string): string {
  const quoted = JSON.stringify(program);
  if (/executable file .* not found in \$PATH/.test(text)) {
    // A path is looked up as it stands; a name along PATH.
    return program.includes("/")
      ? `exec: ${quoted}: stat ${program}: no such file or directory`
      : `exec: ${quoted}: executable file not found in $PATH`;
  }
  if (/^(?:open executable|exec `?|executable )/.test(text) && /permission denied/i.test(text)) {
    return `exec: ${quoted}: permission denied`;
  }
  if (/^open executable: Operation not permitted/.test(text)) {
    return `exec: ${quoted}: is a directory: permission denied`;
  }
  if (/^open executable: no such file/i.test(text)) {
    return `exec: ${quoted}: stat ${program}: no such file or directory`;
  }
  const cwd = /^chdir `(.*)`: (.*)$/.exec(text);
  if (cwd)
    return `chdir to cwd (${JSON.stringify(cwd[1])}) set in config.json failed: ${cwd[2]?.toLowerCase()}`;
  return text.replace(
    /: (Permission denied|No such file or directory|Not a directory|Is a directory)$/,
    lowerCase,
  );
}

function lowerCase(_match: string, reason: string): string {
  return `: ${reason.toLowerCase()}`;
}
