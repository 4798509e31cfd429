/** What a client takes: `Accept-Encoding: gzip;q=0.8, *;q=0`. @see RFC 9110, section 12.5.3 */

export type Encoding = "gzip" | "deflate";

/** The offer that the client likes best, the first of equals; undefined if it would rather have it plain. */
export function chooseEncoding(
  header: string | undefined,
  offers: readonly Encoding[],
): Encoding | undefined {
  if (header === undefined) return undefined;
  const wishes = new Map(header.split(",").map(parseWish));
  const quality = (name: string) => wishes.get(name) ?? wishes.get("*") ?? 0;
  const plain = wishes.get("identity") ?? 0;
  const best = [...offers].sort((a, b) => quality(b) - quality(a))[0];
  return best !== undefined && quality(best) > 0 && quality(best) >= plain ? best : undefined;
}

function parseWish(text: string): [string, number] {
  const [name = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const quality = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
  return [name, /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(quality) ? Number(quality) : 0];
}
