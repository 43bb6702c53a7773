/** openapi-fetch with the types of openapi-typescript. */

import createClient from "openapi-fetch";
import type { paths } from "./client/schema";
import { type Answer, API, type Client, type Problem, runFlow } from "./flow";

const FORM = { "Content-Type": "application/x-www-form-urlencoded" };

function toAnswer<Data>(
  result: { data?: Data; error?: Problem; response: Response },
): Answer<Data> {
  const { status, headers } = result.response;
  return { status, headers, data: result.data, problem: result.error };
}

function connect(accessToken?: string): Client {
  const api = createClient<paths>({ baseUrl: API });
  if (accessToken) {
    api.use({
      onRequest: ({ request }) => request.headers.set("Authorization", `Bearer ${accessToken}`),
    });
  }
  return {
    signIn: async (username, password) =>
      toAnswer(
        await api.POST("/login", {
          headers: FORM,
          body: { grant_type: "password", username, password },
        }),
      ),
    refresh: async (refresh_token) =>
      toAnswer(
        await api.POST("/login", {
          headers: FORM,
          body: { grant_type: "refresh_token", refresh_token },
        }),
      ),
    revoke: async (token) => toAnswer(await api.POST("/revoke", { headers: FORM, body: { token } })),
    place: async (order, key) =>
      toAnswer(
        await api.POST("/orders", { params: { header: { "Idempotency-Key": key } }, body: order }),
      ),
    list: async (limit, cursor) =>
      toAnswer(await api.GET("/orders", { params: { query: { limit, cursor } } })),
    read: async (id, version) =>
      toAnswer(
        await api.GET("/orders/{id}", {
          params: { path: { id }, header: { "If-None-Match": version } },
        }),
      ),
    cancel: async (id, version) =>
      toAnswer(
        await api.POST("/orders/{id}/cancel", {
          params: { path: { id }, header: { "If-Match": version } },
        }),
      ),
  };
}

await runFlow(connect);
