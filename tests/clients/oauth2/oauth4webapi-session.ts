/** The settings of docs/clients.md for oauth4webapi. */

import { ResponseBodyError } from "oauth4webapi";
import { refresh, signIn, signOut } from "./oauth4webapi";
import { runSession } from "./session";

await runSession({
  signIn,
  refresh,
  signOut,
  getErrorCode: (error) => (error instanceof ResponseBodyError ? error.error : undefined),
});
