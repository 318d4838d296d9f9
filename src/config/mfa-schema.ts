// The section `mfa` of the YAML file: of whom MFA is required, how it is enrolled, and what wrong codes lead to.

import { Type } from "typebox";
import { duration, flag, list, mapping, text, wholeNumber } from "./schema-parts.ts";

export const firstLockoutSchema = duration(["10s", "1d"], {
  default: "1m",
  description: "The first lockout; each further one is twice as long.",
  reason: "a shorter one does not slow a guesser down",
});

export const maximumLockoutSchema = duration(["1m", "30d"], {
  default: "12h",
  description: "Longest lockout; longer means worse odds for a guesser, and more calls to the help desk.",
  reason: "a shorter one gives a guesser hundreds of tries a day",
});

const lockoutSchema = mapping(
  {
    failures: wholeNumber([3, 20], {
      default: 5,
      description: "Wrong codes in a row that begin a lockout.",
      reason: "fewer punishes mistyping, more makes guessing worthwhile",
    }),
    first: firstLockoutSchema,
    maximum: maximumLockoutSchema,
  },
  { default: {}, description: "The pause after wrong codes, per user and kind of code." },
);

export const requiredDirectoriesSchema = list(text({ description: "A directory's name." }), {
  default: [],
  description: "Directories whose users must use MFA.",
});

export const requiredGroupsSchema = list(text({ description: "A group's name or DN." }), {
  default: [],
  description:
    "Groups whose members must use MFA, by name or DN; whoever may edit such a group in the directory may end the requirement.",
});

export const enrollmentPassSchema = Type.Enum(["optional", "required"], {
  default: "optional",
  description:
    "With `required` nobody enrolls a first authenticator, or one after a reset, without a pass from an admin or the help desk. With `optional` whoever has the password of a user without an authenticator can enroll in their place.",
});

export const mfaSchema = mapping(
  {
    mode: Type.Enum(["optional", "required"], {
      default: "optional",
      description: "`required` asks everyone for MFA; those without it must enroll at their next sign-in.",
    }),
    requireForDirectories: requiredDirectoriesSchema,
    requireForGroups: requiredGroupsSchema,
    requireForNewUsers: flag({
      default: false,
      description:
        "Users first seen while this is on must use MFA; turning it on or off later changes no one.",
    }),
    initialImport: Type.Enum(["exempt", "include"], {
      default: "include",
      description:
        "Whether the first import of a directory counts as new users. With requireForNewUsers, `include` asks everyone at once; `exempt` never asks those who were there before dirmfa.",
    }),
    enrollmentGrace: duration(["0s", "90d"], {
      default: "0s",
      description:
        "How long after a requirement begins a user may still defer enrollment; until then a password alone signs in. 0s: at once.",
      reason: "a longer one is no requirement",
    }),
    enrollmentPass: enrollmentPassSchema,
    enrollmentPassExpires: duration(["5m", "30d"], {
      default: "1d",
      description: "How long an enrollment pass is good, unless it is used before.",
      reason: "a pass must not lie around for long, and has to reach its user first",
    }),
    replaceWithBackupCode: flag({
      default: true,
      description:
        "Whether a user who has lost the phone replaces it with a backup code. Turned off, each lost phone needs an admin; left on, whoever has the password and one backup code can take the second factor over.",
    }),
    issuer: text({
      pattern: "^(?!\\s)[^:\\p{Cc}]+(?<!\\s)$",
      maxLength: 64, // authenticator apps cut longer ones off
      default: "dirmfa",
      description:
        "Name shown in authenticator apps, best your organization's; apps keep the one they were enrolled with.",
      wanted: "1 to 64 characters, no colon (apps split name and account there), no space at either end",
    }),
    totp: mapping(
      {
        window: wholeNumber([0, 2], {
          default: 1,
          description:
            "Time steps of 30 s accepted before and after the present one; each adds two codes that a guess can hit.",
          reason: "RFC 6238 recommends one, and every step more helps a guesser and a thief of codes",
        }),
        enrollmentExpires: duration(["1m", "1d"], {
          default: "15m",
          description: "Time between showing the secret and confirming it with a code.",
          reason: "a secret on a screen must not stay good for long, and a person needs a minute",
        }),
      },
      { default: {}, description: "Codes from authenticator apps." },
    ),
    backupCodes: mapping(
      {
        count: wholeNumber([5, 20], {
          default: 10,
          description: "Backup codes a user gets; each works once.",
          reason: "fewer run out on a journey, more lie around",
        }),
      },
      { default: {}, description: "Codes for a lost phone." },
    ),
    lockout: lockoutSchema,
  },
  { default: {}, description: "Who must use MFA, and how." },
);
