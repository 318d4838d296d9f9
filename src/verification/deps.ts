// What the verification flows need, put together once by the composition root; each flow names the part that it uses.

import type { Clock } from "../clock.ts";
import type { MfaConfig } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { SealingKeys } from "../sealing/sealing-keys.ts";
import type { Database } from "../store/database.ts";
import type { UserName } from "./answers.ts";
import type { BackupCodeHasher } from "./backup-code-hash.ts";
import type { Together } from "./together.ts";

export interface VerificationDeps {
  db: Database;
  /** Decides which TOTP codes are current. Everything else that has to do with time goes by the database's clock. */
  clock: Clock;
  log: Log;
  keys: SealingKeys;
  hasher: BackupCodeHasher;
  /** The statements of every sign-in, for those who come at the same moment. */
  together: Together;
  /** Cryptographically secure random bytes. */
  randomBytes(size: number): Buffer;
  mfa: MfaConfig;
  /** Names of the configured directories: a user of any other is let in nowhere. */
  directories: readonly string[];
  /**
   * Reads one user from the directory (rule 26), in a bounded time; true when the store may say something else now. Undefined
   * where no directory can be asked.
   */
  readForSignIn?: ((name: UserName) => Promise<boolean>) | undefined;
}
