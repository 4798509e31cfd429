/** JSON documents one after another, as the engine's progress and event streams carry them. */
import { parseExactJson } from "../base/exact-json.ts";
import { EngineProtocolError } from "./errors.ts";

/**
 * Yields each document as soon as it is complete. Documents are objects; what separates them (newlines, RS, nothing
 * at all) does not matter. Whole numbers beyond a double's are bigints.
 */
export async function* readJsonStream<T>(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<T, void, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  let scanned = 0;
  let depth = 0;
  let inString = false;
  for await (const chunk of source) {
    text += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (; scanned < text.length; scanned++) {
      const code = text.charCodeAt(scanned);
      if (inString) {
        if (code === 0x5c) scanned++;
        else if (code === 0x22) inString = false;
      } else if (code === 0x22) {
        inString = true;
      } else if (code === 0x7b || code === 0x5b) {
        if (depth++ === 0) start = scanned;
      } else if (code === 0x7d || code === 0x5d) {
        if (--depth === 0) {
          yield parseDocument<T>(text.slice(start, scanned + 1));
          start = scanned + 1;
        }
      }
    }
    text = text.slice(start);
    scanned -= start;
  }
  if (text.trim() !== "") throw new EngineProtocolError("unexpected EOF");
}

function parseDocument<T>(text: string): T {
  try {
    return parseExactJson(text) as T;
  } catch (cause) {
    throw new EngineProtocolError(`invalid JSON from the engine: ${text.slice(0, 64)}`, { cause });
  }
}
