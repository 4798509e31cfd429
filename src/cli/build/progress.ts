/**
 * Progress of a build as plain lines, as BuildKit prints them: each step has a number, which begins every line of it.
 * @see buildkit util/progress/progressui/printer.go
 */
import type { BuildStatus, BuildVertex } from "../../client/build-status.ts";
import type { Output } from "../terminal/output.ts";
import { humanSize } from "../values/units.ts";

interface Step {
  readonly number: number;
  readonly vertex: BuildVertex;
  readonly statuses: Set<string>;
  /** The beginning of a line whose end has not come. */
  rest: string;
  done: boolean;
}

export class PlainBuildProgress {
  readonly #output: Output;
  readonly #steps = new Map<string, Step>();

  constructor(output: Output) {
    this.#output = output;
  }

  show({ vertexes, statuses, logs, warnings }: BuildStatus): void {
    for (const vertex of vertexes) this.#vertex(vertex);
    for (const { id, vertex, current, total, completed } of statuses) {
      const step = this.#steps.get(vertex);
      if (!step || !completed || step.statuses.has(id)) continue;
      step.statuses.add(id);
      const amount =
        total > 0
          ? ` ${humanSize(current)} / ${humanSize(total)}`
          : current > 0
            ? ` ${humanSize(current)}`
            : "";
      this.#line(step, `${id}${amount} done`);
    }
    for (const { vertex, timestamp, message } of logs) {
      const step = this.#steps.get(vertex);
      if (step) this.#log(step, timestamp, Buffer.from(message).toString("utf8"));
    }
    for (const { vertex, short } of warnings) {
      const step = this.#steps.get(vertex);
      if (step) this.#line(step, `WARN: ${short}`);
    }
    for (const step of this.#steps.values()) this.#ending(step);
  }

  #vertex(vertex: BuildVertex): void {
    if (vertex.started === undefined) return;
    const known = this.#steps.get(vertex.digest);
    if (known) {
      Object.assign(known.vertex, vertex);
      return;
    }
    const step: Step = { number: this.#steps.size + 1, vertex, statuses: new Set(), rest: "", done: false };
    this.#steps.set(vertex.digest, step);
    this.#output.line(`\n#${step.number} ${vertex.name}`);
  }

  #log(step: Step, timestamp: number | undefined, text: string): void {
    const lines = (step.rest + text).split("\n");
    step.rest = lines.pop() ?? "";
    const seconds =
      timestamp === undefined ? 0 : Math.max(0, (timestamp - (step.vertex.started ?? timestamp)) / 1000);
    for (const line of lines)
      this.#line(step, `${seconds.toFixed(3)} ${line.slice(line.lastIndexOf("\r") + 1)}`);
  }

  #ending(step: Step): void {
    const { vertex } = step;
    if (step.done || vertex.completed === undefined) return;
    step.done = true;
    if (step.rest !== "") this.#log(step, vertex.completed, "\n");
    if (vertex.error !== "")
      this.#line(step, vertex.error === "context canceled" ? "CANCELED" : `ERROR: ${vertex.error}`);
    else if (vertex.cached) this.#line(step, "CACHED");
    else
      this.#line(
        step,
        `DONE ${((vertex.completed - (vertex.started ?? vertex.completed)) / 1000).toFixed(1)}s`,
      );
  }

  #line(step: Step, text: string): void {
    this.#output.line(`#${step.number} ${text}`);
  }
}
