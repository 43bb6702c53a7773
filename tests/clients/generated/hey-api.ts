/** @hey-api/openapi-ts. */

import { cancelOrder, listOrders, login, placeOrder, readOrder, revoke } from "./client";
import { createClient } from "./client/client";
import { type Answer, API, type Client, type Problem, runFlow } from "./flow";

function toAnswer<Data>(
  result: { data?: Data; error?: Problem; response?: Response },
): Answer<Data> {
  if (!result.response) throw result.error;
  const { status, headers } = result.response;
  return { status, headers, data: result.data, problem: result.error };
}

function connect(accessToken?: string): Client {
  const client = createClient({ baseUrl: API, auth: accessToken });
  return {
    signIn: async (username, password) =>
      toAnswer(await login({ client, body: { grant_type: "password", username, password } })),
    refresh: async (refresh_token) =>
      toAnswer(await login({ client, body: { grant_type: "refresh_token", refresh_token } })),
    revoke: async (token) => toAnswer(await revoke({ client, body: { token } })),
    place: async (order, key) =>
      toAnswer(await placeOrder({ client, body: order, headers: { "Idempotency-Key": key } })),
    list: async (limit, cursor) => toAnswer(await listOrders({ client, query: { limit, cursor } })),
    read: async (id, version) =>
      toAnswer(await readOrder({ client, path: { id }, headers: { "If-None-Match": version } })),
    cancel: async (id, version) =>
      toAnswer(await cancelOrder({ client, path: { id }, headers: { "If-Match": version } })),
  };
}

await runFlow(connect);
