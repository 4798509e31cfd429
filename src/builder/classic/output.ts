/** What a classic build tells its client: lines of JSON as dockerd streams them, in the same pieces. */
import type { BuildMessage } from "./options.ts";

export class ClassicOutput {
  readonly #send: (message: BuildMessage) => void;

  constructor(send: (message: BuildMessage) => void) {
    this.#send = send;
  }

  /** One step's line, and its end. */
  step(number: number, count: number, text: string): void {
    this.text(`Step ${number}/${count} : ${text}`);
    this.text("\n");
  }

  text(text: string): void {
    this.#send({ stream: text });
  }

  /** What a program wrote to its standard error: red, as clients show it. */
  errorText(text: string): void {
    this.#send({ stream: `\u001b[91m${text}\u001b[0m` });
  }

  arrow(text: string): void {
    this.text(` ---> ${text}\n`);
  }

  image(id: string): void {
    this.#send({ aux: { ID: id } });
  }

  /** A line of a pull's progress. */
  message(message: object): void {
    this.#send(message);
  }
}
