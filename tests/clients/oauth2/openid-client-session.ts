/** The settings of docs/clients.md for openid-client. */

import { ResponseBodyError } from "openid-client";
import { refresh, signIn, signOut } from "./openid-client";
import { runSession } from "./session";

await runSession({
  signIn,
  refresh,
  signOut,
  getErrorCode: (error) => (error instanceof ResponseBodyError ? error.error : undefined),
});
