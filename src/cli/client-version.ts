/** The version that this client says it has. */
export const CLIENT_VERSION = "0.1.0";
