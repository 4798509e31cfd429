/** Regular expressions as people write them for Docker, which reads them with Go's regexp package. */

/** Go's flags at the beginning, `(?i)`, become JavaScript's. @throws SyntaxError */
export function compileGoRegExp(text: string): RegExp {
  const [prefix = "", flags = ""] = /^\(\?([ims]+)\)/.exec(text) ?? [];
  return new RegExp(text.slice(prefix.length), [...new Set(flags)].join(""));
}
