/** Port specifications as clients write them: `80`, `80/tcp`, `8000-8010`. */
import { InvalidParameterError } from "../../../core/errors.ts";

const PROTOCOLS = new Set(["tcp", "udp", "sctp"]);

export interface PortSpec {
  readonly port: number;
  readonly protocol: string;
}

/** One container port, `80/tcp`. @throws InvalidParameterError */
export function parsePortSpec(text: string): PortSpec {
  const [port = "", protocol = "tcp", rest] = text.split("/");
  const number = parsePort(port);
  if (number === undefined || rest !== undefined || !PROTOCOLS.has(protocol.toLowerCase())) {
    throw new InvalidParameterError(`invalid port specification: "${text}"`, { subject: text });
  }
  return { port: number, protocol: protocol.toLowerCase() };
}

/** `8000-8010/tcp`: every port of it. @throws InvalidParameterError */
export function expandPortSpec(text: string): PortSpec[] {
  const [range = "", ...protocol] = text.split("/");
  const { first, last } = parsePortRange(range);
  return Array.from({ length: last - first + 1 }, (_, index) =>
    parsePortSpec([first + index, ...protocol].join("/")),
  );
}

/** A host port or a range of them; 0 is any. @throws InvalidParameterError */
export function parsePortRange(text: string): { first: number; last: number } {
  const [from = "", to = from, rest] = text.split("-");
  const [first, last] = [parsePort(from), parsePort(to)];
  if (first === undefined || last === undefined || last < first || rest !== undefined) {
    throw new InvalidParameterError(`invalid port specification: "${text}"`, { subject: text });
  }
  return { first, last };
}

function parsePort(text: string): number | undefined {
  if (!/^[0-9]{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port <= 65535 ? port : undefined;
}
