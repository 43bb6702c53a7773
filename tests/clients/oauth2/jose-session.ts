/** The settings of docs/clients.md for jose. */

import assert from "node:assert/strict";
import { errors } from "jose";
import { verify } from "./jose";
import { API, PASSWORD, USERNAME } from "./session";

const answer = await fetch(`${API}/login`, {
  method: "POST",
  body: new URLSearchParams({ username: USERNAME, password: PASSWORD }),
});
const { access_token: token } = (await answer.json()) as { access_token: string };
const claims = await verify(token);
assert.equal(claims.sub, "1");
assert.equal(claims["scope"], "account orders:read orders:write");

const [header, , signature] = token.split(".");
const forged = Buffer.from(JSON.stringify({ ...claims, sub: "2" })).toString("base64url");
await assert.rejects(
  verify(`${header}.${forged}.${signature}`),
  errors.JWSSignatureVerificationFailed,
);
