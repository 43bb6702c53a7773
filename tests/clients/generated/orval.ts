/** orval with its client `fetch`. */

import { cancelOrder, listOrders, login, placeOrder, readOrder, revoke } from "./client/orders";
import { type Answer, type Client, type Problem, runFlow } from "./flow";

type Result = { status: number; headers: Headers; data: unknown };
type Data<R extends Result> = Extract<R, { status: 200 | 201 }>["data"];

function toAnswer<R extends Result>({ status, headers, data }: R): Answer<Data<R>> {
  if (status === 304) return { status, headers };
  return status < 300
    ? { status, headers, data: data as Data<R> }
    : { status, headers, problem: data as Problem };
}

function connect(accessToken?: string): Client {
  const headers: Record<string, string> = accessToken
    ? { Authorization: `Bearer ${accessToken}` }
    : {};
  return {
    signIn: async (username, password) =>
      toAnswer(await login({ grant_type: "password", username, password })),
    refresh: async (refresh_token) =>
      toAnswer(await login({ grant_type: "refresh_token", refresh_token })),
    revoke: async (token) => toAnswer(await revoke({ token })),
    place: async (order, key) =>
      toAnswer(await placeOrder(order, { headers: { ...headers, "Idempotency-Key": key } })),
    list: async (limit, cursor) => toAnswer(await listOrders({ limit, cursor }, { headers })),
    read: async (id, version) =>
      toAnswer(
        await readOrder(id, {
          headers: version ? { ...headers, "If-None-Match": version } : headers,
        }),
      ),
    cancel: async (id, version) =>
      toAnswer(
        await cancelOrder(id, { headers: version ? { ...headers, "If-Match": version } : headers }),
      ),
  };
}

await runFlow(connect);
