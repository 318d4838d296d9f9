// Requests and answers of the login scope. The client's types are derived from these.

import { Type } from "typebox";
import {
  BackupCode,
  DirectoryName,
  EnrollmentPass,
  Instant,
  MethodWord,
  Named,
  Nullable,
  Totp,
  Username,
  UserSummary,
  Words,
} from "../schemas.ts";

const who = { username: Username, directory: Type.Optional(DirectoryName) };

/** With its properties, which linters of API descriptions ask for. */
function both(...[a, b]: [string, string]) {
  return { required: [a, b], properties: { [a]: {}, [b]: {} } };
}

export const UserRequest = Named("UserRequest", who);
export const TotpRequest = Named("TotpRequest", { ...who, totp: Totp });
export const BeginEnrollmentRequest = Named(
  "BeginEnrollmentRequest",
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
        both("totp", "enrollmentPass"),
        both("totp", "backupCode"),
        both("backupCode", "enrollmentPass"),
      ],
    },
  },
);
export const VerifyRequest = Named(
  "VerifyRequest",
  { ...who, totp: Type.Optional(Totp), backupCode: Type.Optional(BackupCode) },
  { oneOf: [{ required: ["totp"] }, { required: ["backupCode"] }] },
);

const RequirementReason = Type.String({
  description:
    "`required-by-organization`, `required-by-directory`, `required-by-group:` and the group's name, " +
    "`required-new-user` or `required-by-admin`",
});

export const SignInAnswer = Named("SignInAnswer", {
  decision: Words(["allow", "challenge", "enroll", "deny"], {
    title: "Decision",
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
    Named("EnrollmentTerms", {
      deadline: Nullable(Instant),
      mayDefer: Type.Boolean(),
      passRequired: Type.Boolean({ description: "To begin an enrollment takes an enrollment pass" }),
    }),
  ),
});

export const VerifyAnswer = Named("VerifyAnswer", {
  verified: Type.Unsafe<true>({ type: "boolean", const: true }),
  method: MethodWord,
  user: UserSummary,
  backupCodesRemaining: Type.Integer(),
});

export const StatusAnswer = Named("StatusAnswer", {
  user: UserSummary,
  enrolled: Type.Boolean(),
  enrolledAt: Nullable(Instant),
  required: Type.Boolean(),
  requiredBy: Type.Array(RequirementReason),
  backupCodesRemaining: Type.Integer(),
  mayDisable: Type.Boolean(),
  passRequired: Type.Boolean({ description: "To begin an enrollment now takes an enrollment pass" }),
});

export const EnrollmentAnswer = Named("EnrollmentAnswer", {
  secret: Type.String({ description: "Base32; shown this once" }),
  uri: Type.String({ description: "`otpauth://` URI for authenticator apps" }),
  qrSvg: Type.String({ description: "The URI as QR code, SVG" }),
  qrPng: Type.String({ description: "The URI as QR code, PNG in a data URL" }),
  expiresAt: Instant,
});

export const BackupCodesAnswer = Named("BackupCodesAnswer", {
  backupCodes: Type.Array(Type.String(), { description: "Shown this once" }),
});
