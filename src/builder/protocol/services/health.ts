/** `grpc.health.v1.Health`: clients ask it before they trust a connection. */
import { type Methods, unary } from "../grpc/server.ts";
import { HealthCheckRequest, HealthCheckResponse } from "../messages/session.ts";

const SERVING = 1;

export const healthMethods: Methods = {
  "/grpc.health.v1.Health/Check": unary(HealthCheckRequest, HealthCheckResponse, () => ({ status: SERVING })),
};
