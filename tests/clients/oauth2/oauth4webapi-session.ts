/** The settings of docs/clients.md for oauth4webapi, and the way from a 401 to the issuer. */

import assert from "node:assert/strict";
import * as oauth from "oauth4webapi";
import { refresh, signIn, signOut } from "./oauth4webapi";
import { API, runSession } from "./session";

await runSession({
  signIn,
  refresh,
  signOut,
  getErrorCode: (error) =>
    error instanceof oauth.ResponseBodyError ? error.error : undefined,
});

const options = { [oauth.allowInsecureRequests]: true };
const resource = new URL(API);

await assert.rejects(
  oauth.protectedResourceRequest("invalid", "GET", new URL("/orders", API), undefined, null, options),
  (error) => {
    assert.ok(error instanceof oauth.WWWAuthenticateChallengeError);
    const [challenge] = error.cause;
    assert.equal(challenge?.scheme, "bearer");
    assert.deepEqual({ ...challenge?.parameters }, {
      realm: "ordergate",
      error: "invalid_token",
      resource_metadata: `${API}/.well-known/oauth-protected-resource`,
    });
    return true;
  },
);

const answer = await oauth.resourceDiscoveryRequest(resource, options);
const metadata = await oauth.processResourceDiscoveryResponse(resource, answer);
assert.deepEqual(metadata.authorization_servers, [API]);
