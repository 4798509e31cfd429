/**
 * Regular expressions as people write them for Docker, which reads them with Go's regexp package: RE2's syntax, and
 * time that grows with the text and no faster. JavaScript's own engine tries again and again, and a stranger's pattern
 * would hold everybody up; it is used for what it cannot be held up by.
 */

export interface GoRegExp {
  /** True if it matches somewhere in the text. */
  test(text: string): boolean;
}

/** Not a regular expression. The message is Go's: ``error parsing regexp: missing closing ): `a(` ``. */
class GoRegExpError extends Error {
  override readonly name = "GoRegExpError";
}

/** Plain text with anchors, and one repetition at most: the same in both syntaxes, and quick in both. */
const SIMPLE = /^\^?(?:[\w/@:,=-]|\\?\.)*(?:[*+?](?:[\w/@:,=-]|\\?\.)*)?\$?$/;

/** @throws GoRegExpError */
export function compileGoRegExp(text: string): GoRegExp {
  // A repetition needs something before it.
  if (!SIMPLE.test(text) || /^\^?[*+?]/.test(text)) return compileRe2(text);
  return new RegExp(text.replace(/\\?\./g, (dot) => (dot === "." ? "[^\\n]" : dot)));
}

/** So many repetitions cost JavaScript's engine at most the text's length to that power. */
const FEW_REPETITIONS = 2;

/**
 * For wildcards that were translated: `source` is an expression without nested repetitions, anchored at both ends, that
 * means the same in both syntaxes. `.` matches line feeds too. @throws GoRegExpError
 */
export function compileTranslated(source: string): GoRegExp {
  const repetitions = source.match(/[*+]/g)?.length ?? 0;
  if (repetitions > FEW_REPETITIONS) return compileRe2(`(?s)${source}`);
  try {
    return new RegExp(source, "s");
  } catch (error) {
    throw new GoRegExpError(`error parsing regexp: \`${source}\``, { cause: error });
  }
}

function compileRe2(text: string): GoRegExp {
  const { RE2JS } = loadRe2();
  try {
    const pattern = RE2JS.compile(text);
    return { test: (subject) => pattern.matcher(subject).find() };
  } catch (error) {
    throw new GoRegExpError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** On first use: most engines never see such a pattern, and all would pay for it at their start. */
function loadRe2(): typeof import("re2js") {
  return require("re2js") as typeof import("re2js");
}
