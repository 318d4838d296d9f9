// Codes as people type and read them: the canonical form that is compared and spent (rule 17), and the printed form of
// backup codes. Pure; never decides whether a code is right.

/** Every Unicode space and dash, and the invisible characters that come along when a code is pasted. */
const separators = /[\p{White_Space}\p{Dash}\u00ad\u200b-\u200f\u2060\ufeff]/gu;

// Far more than any way of grouping a code needs, and too short to make the pattern above work hard.
const typedMaxLength = 100;

/** What all authenticator apps of F5 show. */
const totpForm = /^[0-9]{6}$/;

/** Six ASCII digits, or undefined when that is not what was typed. Digits of other scripts are refused. */
export function canonicalTotp(codeAsTyped: string): string | undefined {
  const bare = withoutSeparators(codeAsTyped);
  return bare !== undefined && totpForm.test(bare) ? bare : undefined;
}

// Crockford's base 32: no I, L, O that read like 1 and 0, no U that makes words.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** 12 characters of 5 bits are 60 bits; rule 21 asks for at least 50. */
export const backupCodeLength = 12;

// Four at a time is what people copy without losing their place.
const groupLength = 4;

/** The code that `random` stands for. Takes one unbiased byte a character; the length is `backupCodeLength`. */
export function backupCodeFrom(random: Uint8Array): string {
  return textFrom(random.subarray(0, backupCodeLength));
}

/** A character for each of the bytes. */
export function textFrom(random: Uint8Array): string {
  // 32 divides 256, so the five low bits of a random byte are as random as the byte.
  return Array.from(random, (byte) => alphabet[byte & 31]).join("");
}

/** As a backup code or a pass is shown: `7K3M-9QXT-2B4H`. */
export function printedCode(code: string): string {
  return (code.match(new RegExp(`.{1,${groupLength}}`, "g")) ?? []).join("-");
}

/** The code as `backupCodeFrom` made it, or undefined when it cannot be one. Case, O for 0 and I or L for 1 do not matter. */
export function canonicalBackupCode(codeAsTyped: string): string | undefined {
  return canonicalText(codeAsTyped, backupCodeLength);
}

/** 16 characters of 5 bits are 80 bits: its hash, which has no salt, is out of reach for a search too. */
export const enrollmentPassLength = 16;

/** The pass as `textFrom` made it, or undefined when it cannot be one. As forgiving as backup codes. */
export function canonicalEnrollmentPass(passAsTyped: string): string | undefined {
  return canonicalText(passAsTyped, enrollmentPassLength);
}

const textForm = new RegExp(`^[${alphabet}]*$`);

function canonicalText(typed: string, length: number): string | undefined {
  const bare = withoutSeparators(typed);
  if (bare === undefined || !/^[0-9A-Za-z]*$/.test(bare)) return undefined;
  const text = bare.toUpperCase().replaceAll("O", "0").replaceAll(/[IL]/g, "1");
  return text.length === length && textForm.test(text) ? text : undefined;
}

function withoutSeparators(typed: string): string | undefined {
  return typed.length > typedMaxLength ? undefined : typed.replaceAll(separators, "");
}
