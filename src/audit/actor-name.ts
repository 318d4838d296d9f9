// Which names of people an audit event takes, wherever they come from: an auditor must see who it was. Pure.

/** Enough for a name and an address. */
export const actorMaxLength = 200;

// Controls, and the code points that turn text around or hide in it.
const unreadable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** False for a name that is empty, too long, or that hides something from whoever reads it. */
export function isActorName(name: string): boolean {
  return name !== "" && name.length <= actorMaxLength && !unreadable.test(name);
}
