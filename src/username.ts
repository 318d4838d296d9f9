// How sign-in names are matched (rule 3). Pure; the directory, the store and the login routes all use this one form.

const printableAscii = /^[ -~]*$/;

/**
 * The form in which two sign-in names are compared: Unicode NFKC, trimmed, lower case. Returns "" for a name with
 * nothing visible in it. Lower-casing can undo the normal form (U+0130), hence the second pass.
 */
export function usernameKeyOf(name: string): string {
  if (printableAscii.test(name)) return name.trim().toLowerCase(); // its own normal form
  return name.normalize("NFKC").trim().toLowerCase().normalize("NFKC");
}

// C0, DEL and C1 controls, and the code points that turn text around or hide in it: with one of them a name looks like another.
// RFC 4518, 2.2 has directories leave most of them out before they compare.
const unusable = /[\p{Cc}\p{Default_Ignorable_Code_Point}]/u;

/** Longest username taken from a directory or a caller, in UTF-16 units; AD's userPrincipalName may have 1,024. */
export const usernameMaxLength = 1024;

/** True for a name that can be stored and matched: visible, without control or direction characters, not too long. */
export function isUsableUsername(name: string): boolean {
  return name.length <= usernameMaxLength && !unusable.test(name) && usernameKeyOf(name) !== "";
}
