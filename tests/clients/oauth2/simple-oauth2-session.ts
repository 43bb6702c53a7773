/** The settings of docs/clients.md for simple-oauth2. */

import assert from "node:assert/strict";
import { PASSWORD, USERNAME } from "./session";
import { signIn } from "./simple-oauth2";

interface HttpError {
  data: { payload: { error: string } };
}

function isInvalidGrant(error: unknown) {
  assert.equal((error as HttpError).data.payload.error, "invalid_grant");
  return true;
}

await assert.rejects(signIn(USERNAME, "a wrong password"), isInvalidGrant);
const token = await signIn(USERNAME, PASSWORD);
assert.equal(token.expired(), false);
const renewed = await token.refresh();
assert.notEqual(renewed.token["refresh_token"], token.token["refresh_token"]);
await renewed.revoke("refresh_token");
await assert.rejects(renewed.refresh(), isInvalidGrant);
