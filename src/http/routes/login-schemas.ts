// Requests and answers of the login scope. The client's types are derived from these.

import Type from "typebox";
import {
  BackupCode,
  Closed,
  DirectoryName,
  EnrollmentPass,
  Instant,
  MethodWord,
  Nullable,
  Totp,
  Username,
  UserSummary,
  Words,
} from "../schemas.ts";

const who = { username: Username, directory: Type.Optional(DirectoryName) };

export const UserRequest = Closed(who);
export const TotpRequest = Closed({ ...who, totp: Totp });
export const BeginEnrollmentRequest = Closed(
  {
    ...who,
    /** Needed to replace an active authenticator, unless a backup code comes. */
    totp: Type.Optional(Totp),
    /** In its place, where `mfa.replaceWithBackupCode` is on. */
    backupCode: Type.Optional(BackupCode),
    /** Needed without one, where `mfa.enrollmentPass` is `required`. */
    enrollmentPass: Type.Optional(EnrollmentPass),
  },
  {
    not: {
      anyOf: [
        { required: ["totp", "enrollmentPass"] },
        { required: ["totp", "backupCode"] },
        { required: ["backupCode", "enrollmentPass"] },
      ],
    },
  },
);
export const VerifyRequest = Closed(
  { ...who, totp: Type.Optional(Totp), backupCode: Type.Optional(BackupCode) },
  { oneOf: [{ required: ["totp"] }, { required: ["backupCode"] }] },
);

const RequirementReason = Type.String({
  description:
    "`required-by-organization`, `required-by-directory`, `required-by-group:` and the group's name, " +
    "`required-new-user` or `required-by-admin`",
});

export const SignInAnswer = Closed({
  decision: Words(["allow", "challenge", "enroll", "deny"], {
    description: "Nothing is asked; ask for a code; must enroll now; no sign-in",
  }),
  reasons: Type.Array(
    Type.String({
      description:
        "`enrolled`, `required-by-organization`, `required-by-directory`, `required-by-group:` and the group's name, " +
        "`required-new-user`, `required-by-admin`, `not-required`, `user-unknown`, `user-disabled`, `user-removed`, " +
        "`directory-not-configured` or `locked-out`",
    }),
  ),
  user: Nullable(UserSummary),
  methods: Type.Array(MethodWord, { description: "The kinds of code that can be typed now" }),
  backupCodesRemaining: Type.Integer(),
  lockedUntil: Nullable(Instant),
  enrollment: Nullable(
    Closed({
      deadline: Nullable(Instant),
      mayDefer: Type.Boolean(),
      passRequired: Type.Boolean({ description: "To begin an enrollment takes an enrollment pass" }),
    }),
  ),
});

export const VerifyAnswer = Closed({
  verified: Type.Unsafe<true>({ type: "boolean", const: true }),
  method: MethodWord,
  user: UserSummary,
  backupCodesRemaining: Type.Integer(),
});

export const StatusAnswer = Closed({
  user: UserSummary,
  enrolled: Type.Boolean(),
  enrolledAt: Nullable(Instant),
  required: Type.Boolean(),
  requiredBy: Type.Array(RequirementReason),
  backupCodesRemaining: Type.Integer(),
  mayDisable: Type.Boolean(),
  passRequired: Type.Boolean({ description: "To begin an enrollment now takes an enrollment pass" }),
});

export const EnrollmentAnswer = Closed({
  secret: Type.String({ description: "Base32; shown this once" }),
  uri: Type.String({ description: "`otpauth://` URI for authenticator apps" }),
  qrSvg: Type.String({ description: "The URI as QR code, SVG" }),
  qrPng: Type.String({ description: "The URI as QR code, PNG in a data URL" }),
  expiresAt: Instant,
});

export const BackupCodesAnswer = Closed({
  backupCodes: Type.Array(Type.String(), { description: "Shown this once" }),
});
