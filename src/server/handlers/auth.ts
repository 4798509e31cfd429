/** `POST /auth`: asks a registry whether credentials are good. Nothing is kept: clients send them with each request. */
import { registryCredentials } from "../../api/bodies/auth.ts";
import { InvalidParameterError } from "../../core/errors.ts";
import type { Registry } from "../../core/registry.ts";
import type { Handlers } from "../call.ts";
import { toCredentials } from "./images.ts";

export function authHandlers(registry: Registry): Handlers {
  return {
    SystemAuth: async (call) => {
      const request = await call.decode(registryCredentials);
      const credentials = toCredentials(request);
      if (!credentials) throw new InvalidParameterError("a username and password, or a token, must be given");
      const { identityToken } = await registry.checkCredentials(request.serveraddress ?? "", credentials, {
        signal: call.signal,
      });
      call.json({ Status: "Login Succeeded", IdentityToken: identityToken });
    },
  };
}
