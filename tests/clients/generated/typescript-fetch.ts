/** The generator typescript-fetch of openapi-generator. */

import {
  type ApiResponse,
  AuthenticationApi,
  Configuration,
  type Order,
  OrdersApi,
  ResponseError,
  type Tokens,
} from "./client";
import { type Answer, API, type Client, runFlow } from "./flow";

/** The answer of a call; the generated code throws every status that is no success. */
async function toAnswer<From, To>(
  call: Promise<ApiResponse<From>>,
  convert: (from: From) => To,
): Promise<Answer<To>> {
  try {
    const response = await call;
    const { status, headers } = response.raw;
    return { status, headers, data: convert(await response.value()) };
  } catch (error) {
    if (!(error instanceof ResponseError)) throw error;
    const { status, headers } = error.response;
    if (status === 304) return { status, headers };
    return { status, headers, problem: await error.response.json() };
  }
}

const same = <T>(value: T): T => value;

function toTokens(tokens: Tokens): { access_token: string; refresh_token: string } {
  return { access_token: tokens.accessToken, refresh_token: tokens.refreshToken };
}

function connect(accessToken?: string): Client {
  const configuration = new Configuration({ basePath: API, accessToken });
  const authentication = new AuthenticationApi(configuration);
  const orders = new OrdersApi(configuration);
  return {
    signIn: (username, password) =>
      toAnswer(authentication.loginRaw({ grantType: "password", username, password }), toTokens),
    refresh: (refreshToken) =>
      toAnswer(authentication.loginRaw({ grantType: "refresh_token", refreshToken }), toTokens),
    revoke: (token) => toAnswer(authentication.revokeRaw({ token }), same),
    place: (newOrder, idempotencyKey) =>
      toAnswer<Order, Order>(
        orders.placeOrderRaw({
          idempotencyKey,
          newOrder: {
            currency: newOrder.currency,
            lines: newOrder.lines.map(({ unit_price: unitPrice, ...line }) => ({ ...line, unitPrice })),
          },
        }),
        same,
      ),
    list: (limit, cursor) =>
      toAnswer(orders.listOrdersRaw({ limit, cursor }), (page) => ({
        orders: page.orders,
        next_cursor: page.nextCursor,
      })),
    read: (id, ifNoneMatch) => toAnswer<Order, Order>(orders.readOrderRaw({ id, ifNoneMatch }), same),
    cancel: (id, ifMatch) => toAnswer<Order, Order>(orders.cancelOrderRaw({ id, ifMatch }), same),
  };
}

await runFlow(connect);
