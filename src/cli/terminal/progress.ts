/**
 * Progress of pulls and the like: on a terminal one line for each layer, redrawn with a bar; elsewhere plain lines,
 * without the numbers.
 */
import { EngineStreamError } from "../../client/errors.ts";
import type { ProgressMessage } from "../../client/images.ts";
import { formatDuration, humanSize } from "../values/units.ts";
import type { Output } from "./output.ts";

/** Shows a stream to its end. @throws EngineStreamError for a failure that the engine reports in it */
export async function showProgress(
  messages: AsyncIterable<ProgressMessage>,
  output: Output | undefined,
): Promise<void> {
  const display = output && (output.isTerminal ? new TerminalDisplay(output) : new PlainDisplay(output));
  for await (const message of messages) {
    if (message.aux !== undefined) continue;
    const failure = message.errorDetail?.message ?? message.error;
    if (failure !== undefined) throw new EngineStreamError(failure, message.errorDetail?.code);
    display?.show(message);
  }
}

class PlainDisplay {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  show(message: ProgressMessage): void {
    const { id, status = "", stream } = message;
    if (message.progressDetail && describe(message, 0) !== "") return;
    const prefix = id ? `${id}: ` : "";
    if (stream) this.#output.write(prefix + stream);
    else this.#output.write(`${prefix}${status}\n`);
  }
}

class TerminalDisplay {
  readonly #output: Output;
  readonly #columns: number;
  /** Line of each id, counted from the first one that is still redrawn. */
  #lines = new Map<string, number>();

  constructor(output: Output) {
    this.#output = output;
    this.#columns = output.size.columns || 200;
  }

  show(message: ProgressMessage): void {
    const { id, status = "", stream, progressDetail } = message;
    let text = "";
    let up = 0;
    if (id && progressDetail) {
      if (!this.#lines.has(id)) {
        this.#lines.set(id, this.#lines.size);
        text += "\n";
      }
      up = this.#lines.size - (this.#lines.get(id) ?? 0);
      text += `\x1b[${up}A`;
    } else {
      // What is not redrawn pushes the lines above it out of reach.
      this.#lines = new Map();
    }
    if (!stream && progressDetail) text += "\x1b[2K\r";
    if (id) text += `${id}: `;
    if (progressDetail) text += `${status} ${describe(message, this.#columns)}${stream ? "" : "\r"}`;
    else if (stream) text += stream;
    else text += `${status}\n`;
    if (id && progressDetail) text += `\x1b[${up}B`;
    this.#output.write(text);
  }
}

const BAR = 50;

/** `[====>    ]  1.2MB/3.4MB 5s`; "" where there is nothing to tell. */
function describe({ progressDetail = {} }: ProgressMessage, columns: number): string {
  const { current = 0, total = 0, start = 0, units, hidecounts } = progressDetail;
  if (current <= 0 && total <= 0) return "";
  if (total <= 0) return units ? `${current} ${units}` : humanSize(current).padStart(8);
  const percentage = Math.min(BAR, Math.trunc(Math.trunc((current / total) * 100) / 2));
  const bar = columns > 110 ? `[${"=".repeat(percentage)}>${" ".repeat(BAR - percentage)}] ` : "";
  const done = units ? String(current) : humanSize(current).padStart(8);
  const all = units ? `${total} ${units}` : humanSize(total);
  const counts = hidecounts ? "" : current > total ? (units ? `${done} ${units}` : done) : `${done}/${all}`;
  let left = "";
  if (columns > 50 && current > 0 && start > 0 && percentage < BAR) {
    const perItem = (Date.now() / 1000 - start) / current;
    left = ` ${formatDuration(Math.round((total - current) * perItem) * 1e9)}`;
  }
  return bar + counts + left;
}
