/** Names of volumes. They become directory names, so nothing else is ever let through. */
import { InvalidParameterError } from "../../core/errors.ts";

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** The longest name that a directory can have on the file systems that Docker runs on. */
const LONGEST = 255;

/** @throws InvalidParameterError in dockerd's words */
export function checkVolumeName(name: string): void {
  if (name.length === 1) {
    throw invalid(name, "volume name is too short, names should be at least two alphanumeric characters");
  }
  if (!NAME.test(name)) {
    throw invalid(
      name,
      `${JSON.stringify(name)} includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
  if (name.length > LONGEST) throw invalid(name, `volume name is longer than ${LONGEST} characters`);
}

function invalid(name: string, reason: string): InvalidParameterError {
  return new InvalidParameterError(`create ${name}: ${reason}`, { subject: name });
}
