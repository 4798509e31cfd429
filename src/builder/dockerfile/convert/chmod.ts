/** `--chmod`: octal up to 07777, or symbolic as chmod(1) takes it. */
import type { CopyAction } from "../../graph/ops.ts";
import { DockerfileError } from "../source/errors.ts";

const HIGHEST = 0o7777;
const SYMBOLIC = /^(?:[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*$/;

/** @throws DockerfileError */
export function chmodOf(text: string): Pick<Partial<CopyAction>, "mode" | "modeStr"> {
  if (text === "") return {};
  if (/^[0-7]+$/.test(text) && Number.parseInt(text, 8) <= HIGHEST) return { mode: Number.parseInt(text, 8) };
  if (/^\d/.test(text)) {
    throw new DockerfileError(
      `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
    );
  }
  if (SYMBOLIC.test(text)) return { modeStr: text };
  throw new DockerfileError(`invalid mode: ${JSON.stringify(text)}`);
}
