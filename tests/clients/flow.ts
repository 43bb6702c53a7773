/** The flow that every generated client runs, on the data of the demo. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

export const API = process.env["API"] ?? "http://127.0.0.1:8000";

export interface Tokens {
  access_token: string;
  refresh_token: string;
}

export interface Order {
  id: number;
  status: string;
  total: string;
}

export interface OrderPage {
  orders: Order[];
  next_cursor: string | null;
}

export interface Problem {
  type: string;
  status: number;
  detail: string;
  error?: string | undefined;
}

/** An answer: `data` of a success, `problem` of an error, neither of a 304. */
export interface Answer<Data> {
  status: number;
  headers: Headers;
  data?: Data | undefined;
  problem?: Problem | undefined;
}

export interface NewOrder {
  currency: "EUR";
  lines: { sku: string; name: string; quantity: number; unit_price: string }[];
}

/** What an adapter makes of a generated client. */
export interface Client {
  signIn(username: string, password: string): Promise<Answer<Tokens>>;
  refresh(refreshToken: string): Promise<Answer<Tokens>>;
  revoke(token: string): Promise<Answer<unknown>>;
  place(order: NewOrder, key: string): Promise<Answer<Order>>;
  list(limit: number, cursor?: string): Promise<Answer<OrderPage>>;
  read(id: number, ifNoneMatch?: string): Promise<Answer<Order>>;
  cancel(id: number, ifMatch?: string): Promise<Answer<Order>>;
}

/** Returns a client that sends this access token, if there is one. */
export type Connect = (accessToken?: string) => Client;

const TEAPOT: NewOrder = {
  currency: "EUR",
  lines: [{ sku: "POT", name: "Teapot", quantity: 1, unit_price: "64.00" }],
};

const NO_ORDER = Number.MAX_SAFE_INTEGER;

/** The data of an answer that has this status. */
function expect<Data>(answer: Answer<Data>, status: number): Data {
  assert.equal(answer.status, status, JSON.stringify(answer.problem));
  assert.ok(answer.data !== undefined);
  return answer.data;
}

function expectProblem(answer: Answer<unknown>, status: number, name: string): void {
  assert.equal(answer.status, status, JSON.stringify(answer.data));
  assert.equal(answer.problem?.status, status);
  assert.equal(answer.problem.type, `urn:problem-type:ordergate:${name}`);
}

async function listEveryOrder(client: Client): Promise<Order[]> {
  const orders: Order[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = expect(await client.list(2, cursor), 200);
    assert.ok(page.orders.length <= 2);
    orders.push(...page.orders);
    cursor = page.next_cursor;
  }
  return orders;
}

export async function runFlow(connect: Connect): Promise<void> {
  const anonymous = connect();
  const refused = await anonymous.signIn("user1", "a wrong password");
  expectProblem(refused, 400, "invalid-grant");
  assert.equal(refused.problem?.error, "invalid_grant");
  expectProblem(await anonymous.list(1), 401, "token-required");
  const tokens = expect(await anonymous.signIn("user1", "ordergate-demo"), 200);

  const client = connect(tokens.access_token);
  const key = randomUUID();
  const placed = expect(await client.place(TEAPOT, key), 201);
  assert.ok(Number.isSafeInteger(placed.id) && placed.id >= 2 ** 52);
  assert.equal(placed.total, "64.00");
  assert.equal(expect(await client.place(TEAPOT, key), 201).id, placed.id);
  const other: NewOrder = { ...TEAPOT, lines: [...TEAPOT.lines, ...TEAPOT.lines] };
  expectProblem(await client.place(other, key), 422, "idempotency-key-reused");

  const orders = await listEveryOrder(client);
  assert.equal(orders.filter((order) => order.id === placed.id).length, 1);
  assert.ok(orders.length > 2);
  assert.equal(new Set(orders.map((order) => order.id)).size, orders.length);

  const read = await client.read(placed.id);
  assert.equal(expect(read, 200).status, "placed");
  const version = read.headers.get("etag");
  assert.ok(version);
  assert.equal((await client.read(placed.id, version)).status, 304);
  expectProblem(await client.read(NO_ORDER), 404, "order-not-found");

  expectProblem(await client.cancel(placed.id, '"another-version"'), 412, "order-changed");
  assert.equal(expect(await client.cancel(placed.id, version), 200).status, "cancelled");
  expectProblem(await client.cancel(placed.id, version), 412, "order-changed");
  const shipped = orders.find((order) => order.status === "shipped");
  assert.ok(shipped);
  expectProblem(await client.cancel(shipped.id), 409, "invalid-transition");

  const renewed = expect(await anonymous.refresh(tokens.refresh_token), 200);
  assert.notEqual(renewed.refresh_token, tokens.refresh_token);
  assert.equal((await connect(renewed.access_token).read(placed.id)).status, 200);
  assert.equal((await anonymous.revoke(renewed.refresh_token)).status, 200);
  expectProblem(await anonymous.refresh(renewed.refresh_token), 400, "invalid-grant");
}
