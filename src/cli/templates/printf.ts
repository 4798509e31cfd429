/** fmt.Sprint and fmt.Sprintf. Pure. */
import { goQuote } from "../values/go-text.ts";
import { general } from "../values/units.ts";
import { formatValue } from "./go-value.ts";
import { comparable, kindOf, typeOf } from "./reflect.ts";

/** fmt.Sprint: spaces only between operands of which neither is text. */
export function sprint(args: readonly unknown[]): string {
  return args
    .map((arg, at) => {
      const spaced = at > 0 && typeof arg !== "string" && typeof args[at - 1] !== "string";
      return `${spaced ? " " : ""}${formatValue(arg)}`;
    })
    .join("");
}

/** The verbs of fmt.Sprintf that templates use. */
export function sprintf(pattern: string, args: readonly unknown[]): string {
  let next = 0;
  const text = pattern.replace(
    /%([-+# 0]*)(\d+|\*)?(?:\.(\d+))?([vsdqtxXfgeTcb%])/g,
    (_all, flags: string, widthText: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === "%") return "%";
      const width = widthText === "*" ? Number(args[next++]) : Number(widthText ?? 0);
      if (next >= args.length) return `%!${verb}(MISSING)`;
      const shown = formatVerb(verb, args[next++], flags, precision);
      if (flags.includes("-")) return shown.padEnd(width);
      return flags.includes("0") && /^[-+]?[\d.]/.test(shown)
        ? shown.padStart(width, "0")
        : shown.padStart(width);
    },
  );
  if (next < args.length) {
    return `${text}%!(EXTRA ${args
      .slice(next)
      .map((arg) => `${typeOf(arg)}=${formatValue(arg)}`)
      .join(", ")})`;
  }
  return text;
}

function formatVerb(verb: string, value: unknown, flags: string, precision: string | undefined): string {
  switch (verb) {
    case "d":
      return kindOf(comparable(value)) === "number"
        ? String(comparable(value))
        : `%!d(${typeOf(value)}=${formatValue(value)})`;
    case "q":
      return goQuote(formatValue(value));
    case "x":
    case "X": {
      const hex =
        typeof value === "number" ? value.toString(16) : Buffer.from(formatValue(value)).toString("hex");
      return verb === "X" ? hex.toUpperCase() : hex;
    }
    case "b":
      return Number(value).toString(2);
    case "c":
      return String.fromCodePoint(Number(value));
    case "f":
      return Number(value).toFixed(Number(precision ?? 6));
    case "e":
      return Number(value).toExponential(Number(precision ?? 6));
    case "g":
      return general(Number(value), Number(precision ?? 17));
    case "T":
      return typeOf(value);
    default: {
      const text = formatValue(value);
      const sign = flags.includes("+") && typeof value === "number" && value >= 0 ? "+" : "";
      return sign + (precision === undefined ? text : text.slice(0, Number(precision)));
    }
  }
}
