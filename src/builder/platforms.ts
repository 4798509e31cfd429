/**
 * Platforms as containerd reads and writes them: `linux/arm64`, `arm/v7`, `windows(10.0.17763)/amd64`.
 *
 * @see https://github.com/containerd/platforms
 */
import type { Platform } from "../core/content.ts";
import { InvalidParameterError } from "../core/errors.ts";
import { hostPlatform } from "../core/manifests.ts";

const OS = /^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$/;
const PART = /^[A-Za-z0-9_.-]+$/;
const KNOWN_SYSTEMS = new Set(
  "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos".split(
    " ",
  ),
);
const KNOWN_ARCHITECTURES = new Set(
  (
    "386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 " +
    "mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm"
  ).split(" "),
);

/** @throws InvalidParameterError in containerd's words */
export function parsePlatform(text: string): Platform {
  const quoted = JSON.stringify(text);
  if (text.includes("*")) throw invalid(`${quoted}: wildcards not yet supported`);
  const [first = "", second, third, more] = text.split("/");
  const [, name, version = "", features = ""] = OS.exec(first) ?? [];
  if (name === undefined) {
    const rule = JSON.stringify(OS.source);
    throw invalid(
      `${JSON.stringify(first)} is an invalid OS component of ${quoted}: OSAndVersion specifier component must match ${rule}`,
    );
  }
  for (const part of [second, third, more]) {
    if (part !== undefined && !PART.test(part)) {
      throw invalid(
        `${JSON.stringify(part)} is an invalid component of ${quoted}: platform specifier component must match ${JSON.stringify(PART.source)}`,
      );
    }
  }
  if (more !== undefined) throw invalid(`${quoted}: cannot parse platform specifier`);
  const system = { os: normalSystem(name), ...optionsOf(version, features) };
  if (second === undefined) return platformOfOneWord(text, first, system);
  const { architecture, variant } = normalArchitecture(second, third ?? "");
  const assumed = third === undefined && architecture === "arm" && variant === "v7";
  if (third !== undefined && architecture === "arm64" && variant === "") {
    return { ...system, architecture, variant: "v8" };
  }
  return { ...system, architecture, ...(variant === "" || assumed ? {} : { variant }) };
}

/** An operating system for the host's architecture, or an architecture for Linux. */
function platformOfOneWord(text: string, word: string, system: Omit<Platform, "architecture">): Platform {
  if (KNOWN_SYSTEMS.has(system.os)) return { ...system, architecture: hostPlatform().architecture };
  const { architecture, variant } = normalArchitecture(word, "");
  if (!KNOWN_ARCHITECTURES.has(architecture)) {
    throw invalid(`${JSON.stringify(text)}: unknown operating system or architecture`);
  }
  const assumed = architecture === "arm" && variant === "v7";
  return { os: "linux", architecture, ...(variant === "" || assumed ? {} : { variant }) };
}

/** One spelling for each platform: arm64 is v8 and says so nowhere, arm is v7 and says so. */
export function normalizePlatform(platform: Platform): Platform {
  const { architecture, variant } = normalArchitecture(platform.architecture, platform.variant ?? "");
  const { variant: _, "os.features": features, ...rest } = platform;
  return {
    ...rest,
    os: normalSystem(platform.os),
    architecture,
    ...(variant === "" ? {} : { variant }),
    ...(features?.length ? { "os.features": [...new Set(features)].sort() } : {}),
  };
}

/** `linux/arm64/v8`; the system's version and features are left out. */
export function formatPlatform(platform: Platform): string {
  if (platform.os === "") return "unknown";
  return [platform.os, platform.architecture, platform.variant].filter(Boolean).join("/");
}

/** `windows(10.0.17763+win32k)/amd64`: all there is. */
export function formatWholePlatform(platform: Platform): string {
  if (platform.os === "") return "unknown";
  const version = escapeOption(platform["os.version"] ?? "");
  const features = [...new Set(platform["os.features"] ?? [])].filter(Boolean).sort();
  const options = [version, ...features.map(escapeOption)].join("+");
  const system = options === "" ? platform.os : `${platform.os}(${options})`;
  return [system, platform.architecture, platform.variant].filter(Boolean).join("/");
}

export function samePlatform(a: Platform, b: Platform): boolean {
  return formatWholePlatform(normalizePlatform(a)) === formatWholePlatform(normalizePlatform(b));
}

function optionsOf(version: string, features: string): Partial<Platform> {
  const list = features
    .split("+")
    .filter(Boolean)
    .map((feature) => decodeURIComponent(feature));
  return {
    ...(version === "" ? {} : { "os.version": decodeURIComponent(version) }),
    ...(list.length === 0 ? {} : { "os.features": list }),
  };
}

function escapeOption(text: string): string {
  return text.replace(/[%+()/]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}

function normalSystem(os: string): string {
  const lower = os.toLowerCase();
  if (lower === "") return "linux";
  return lower === "macos" ? "darwin" : lower;
}

function normalArchitecture(name: string, given: string): { architecture: string; variant: string } {
  const architecture = name.toLowerCase();
  const variant = given.toLowerCase();
  switch (architecture) {
    case "i386":
      return { architecture: "386", variant: "" };
    case "x86_64":
    case "x86-64":
    case "amd64":
      return { architecture: "amd64", variant: variant === "v1" ? "" : variant };
    case "aarch64":
    case "arm64":
      if (["8", "v8", "v8.0"].includes(variant)) return { architecture: "arm64", variant: "" };
      return { architecture: "arm64", variant: ["9", "9.0", "v9.0"].includes(variant) ? "v9" : variant };
    case "armhf":
      return { architecture: "arm", variant: "v7" };
    case "armel":
      return { architecture: "arm", variant: "v6" };
    case "arm":
      if (variant === "" || variant === "7") return { architecture, variant: "v7" };
      return { architecture, variant: ["5", "6", "8"].includes(variant) ? `v${variant}` : variant };
    default:
      return { architecture, variant };
  }
}

function invalid(message: string): InvalidParameterError {
  return new InvalidParameterError(`${message}: invalid argument`);
}
