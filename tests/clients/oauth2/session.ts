/** The sign-in, renewal and sign-out that every OAuth2 library runs. */

import assert from "node:assert/strict";

export const API = process.env["API"] ?? "http://127.0.0.1:8000";
export const USERNAME = "user1";
export const PASSWORD = "ordergate-demo";

interface Tokens {
  access_token: string;
  refresh_token?: string;
  token_type: string;
  expires_in?: number;
}

interface Library {
  signIn(username: string, password: string): Promise<Tokens>;
  refresh(refreshToken: string): Promise<Tokens>;
  signOut(token: string): Promise<unknown>;
  /** Returns the error code of RFC 6749 that the library reports. */
  getErrorCode(error: unknown): string | undefined;
}

export async function runSession({ signIn, refresh, signOut, getErrorCode }: Library) {
  const isInvalidGrant = (error: unknown) => {
    assert.equal(getErrorCode(error), "invalid_grant", String(error));
    return true;
  };
  await assert.rejects(signIn(USERNAME, "a wrong password"), isInvalidGrant);
  const tokens = await signIn(USERNAME, PASSWORD);
  assert.equal(tokens.token_type, "bearer");
  assert.equal(tokens.expires_in, 900);
  assert.ok(tokens.refresh_token);

  const renewed = await refresh(tokens.refresh_token);
  assert.ok(renewed.refresh_token);
  assert.notEqual(renewed.refresh_token, tokens.refresh_token);
  await signOut(renewed.refresh_token);
  await assert.rejects(refresh(renewed.refresh_token), isInvalidGrant);
}
