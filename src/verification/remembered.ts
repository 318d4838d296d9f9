// Which authenticator a sign-in name led to when it was last looked up: a guess with which a code is compared before the database is
// asked. It decides nothing: the statement that spends the code compares name, user and sealed secret with what is stored
// (named-batch-table.ts), and a guess that does not hold is as good as none. Knows no statement.

import { createRecent } from "../recent.ts";
import { usernameKeyOf } from "../username.ts";
import type { UserName } from "./answers.ts";
import type { SignInStanding } from "./sign-in-standing-table.ts";

/** As it was stored, so sealed: what is remembered here is worth nothing without the key. */
export interface RememberedAuthenticator {
  userId: string;
  directory: string;
  authenticatorId: string;
  keyId: string;
  sealed: Buffer;
}

export interface Remembered {
  find(name: UserName): RememberedAuthenticator | undefined;
  /** Forgets the name where there is no authenticator. */
  note(name: UserName, standing: SignInStanding | undefined): void;
}

/**
 * Between a sign-in's decision and its code lie some seconds, so those asked about last are enough: an hour of the busiest login
 * service. Some 10 MB, 20 at most.
 */
const namesKept = 20_000;

export function createRemembered(): Remembered {
  // The bytes as text: a slice of a buffer would keep the whole of it.
  const kept = createRecent<Omit<RememberedAuthenticator, "sealed"> & { sealed: string }>(namesKept);
  return {
    find(name) {
      const found = kept.get(keyOf(name));
      return found && { ...found, sealed: Buffer.from(found.sealed, "base64") };
    },
    note(name, standing) {
      const key = keyOf(name);
      if (!standing?.authenticator) return kept.forget(key);
      const { user, authenticator } = standing;
      kept.note(key, {
        userId: user.id,
        directory: user.directory,
        authenticatorId: authenticator.id,
        keyId: authenticator.keyId,
        sealed: authenticator.sealed.toString("base64"),
      });
    },
  };
}

// No directory is named like this: names of directories are not empty.
function keyOf({ username, directory }: UserName): string {
  return `${directory ?? ""}\0${usernameKeyOf(username)}`;
}
