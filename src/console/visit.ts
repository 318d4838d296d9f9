// A browser that asks for a page: what every page may show of it. Types only.

import type { ConsoleRole } from "../config/config.ts";
import type { User } from "../users/user.ts";
import type { Stage } from "./console-sessions-table.ts";

export interface Visit {
  /** In the cookie; in no page. */
  token: string;
  /** Made from it; in every form. */
  formToken: string;
  path: string;
  /** Undefined before a password was shown. */
  stage: Stage | undefined;
  user: User | undefined;
  roles: readonly ConsoleRole[];
}
