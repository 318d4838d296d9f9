// The YAML file's schema: every key with its default and its risk. `dirmfa config schema` prints exactly this, and the
// documentation's table is made of it. Says what a value may be; check-directories.ts and check-service.ts say what
// values mean together.

import Type, { type Static } from "typebox";
import { consoleSchema } from "./console-schema.ts";
import { directorySchema } from "./directory-schema.ts";
import { noticesSchema } from "./notices-schema.ts";
import { duration, flag, list, mapping, text, wholeNumber } from "./schema-parts.ts";

const listenWanted = "HOST:PORT such as 127.0.0.1:8420 or [::1]:8420, or unix:PATH";

export const databaseUrlSchema = text({
  format: "postgres-url",
  writeOnly: true,
  description: `PostgreSQL 14 or newer; a password in it must come from a \${NAME} reference.`,
  wanted: "postgres://USER@HOST:PORT/DATABASE",
});

export const embeddedSchema = text({
  default: "./data",
  description:
    "Folder of the embedded database, used when no URL is given: one daemon only, and a power cut may cost the last changes.",
});

const databaseSchema = mapping(
  {
    url: Type.Optional(databaseUrlSchema),
    urlFile: Type.Optional(
      text({
        description:
          "File with that URL on its one line, for a URL with a password; should be readable by dirmfa's user alone.",
      }),
    ),
    embedded: embeddedSchema,
    poolSize: wholeNumber([2, 200], {
      default: 10,
      description:
        "Connections a replica opens to PostgreSQL; replicas times this must stay under the server's max_connections.",
      reason: "one connection would leave sign-ins waiting for a sync run",
    }),
    preparedStatements: Type.Enum(["auto", "on", "off"], {
      default: "auto",
      description:
        "Whether PostgreSQL keeps the plans of the statements that every sign-in runs. auto: until a connection pooler turns out not to carry them.",
    }),
  },
  { default: {}, description: "Where users, authenticators and the audit live." },
);

export const callerNameSchema = text({
  pattern: "^[a-z0-9][a-z0-9-]*$",
  maxLength: 63, // as a directory's name
  description: "The caller's name in the audit.",
  wanted: "lower-case letters, digits and dashes, starting with a letter or digit, at most 63",
});

export const tokenSha256Schema = text({
  pattern: "^[0-9a-f]{64}$",
  writeOnly: true, // a token typed here by mistake must not be quoted
  description: "SHA-256 of the caller's token, from `dirmfa token create`; never the token itself.",
  wanted: "64 lower-case hex digits, as `dirmfa token create` prints them, and not the token itself",
});

export const furtherTokensSchema = list(tokenSha256Schema, {
  default: [],
  description:
    "SHA-256 of tokens that are good beside it: while a new token takes the old one's place. Take the old one out then; until you do, whoever has it can call.",
});

const callersSchema = list(
  mapping(
    {
      name: callerNameSchema,
      tokenSha256: tokenSha256Schema,
      furtherTokensSha256: furtherTokensSchema,
      scopes: list(Type.Enum(["login", "help-desk", "audit", "admin", "metrics"]), {
        minItems: 1,
        description:
          "What it may call: `login` signs users in, `help-desk` looks at users, unlocks them and issues enrollment passes, `audit` reads everything, `metrics` reads /metrics, `admin` can switch off anyone's MFA.",
      }),
      requestsPerSecond: wholeNumber([1, 100_000], {
        default: 100,
        description: "Requests a second it may sustain, per replica; twice that in a burst.",
        reason: "zero would lock the caller out, and more than a replica can serve limits nothing",
      }),
      protocol: Type.Enum(["api", "privacyidea", "lemonldap"], {
        default: "api",
        description:
          "`privacyidea` also opens /privacyidea to this caller, for plugins that speak that protocol, and `lemonldap` opens /lemonldap to a portal of LemonLDAP::NG (docs/integrations.md).",
      }),
      checksPassword: flag({
        default: false,
        description:
          "For `privacyidea`: it has checked the user's password before it asks, so it may be shown secrets to enroll with. Wrong for PAM, RADIUS and Windows, which ask first: anyone could enroll for anyone. Without it such a caller is refused the enrollment calls of the API too.",
      }),
      learnsUnknown: flag({
        default: false,
        description:
          "For `privacyidea`: it is told that a user is unknown, and not only that the sign-in is refused; whoever can ask it then learns which names exist.",
      }),
      requestsPerSecondPerUser: wholeNumber([1, 100_000], {
        default: 10,
        description:
          "The same for the requests about one user: what goes beyond it is refused before it counts for the caller, so that a flood on one user leaves the others their turn.",
        reason: "zero would lock every user out",
      }),
    },
    { description: "One caller." },
  ),
  { default: [], description: "Who may call the API; with none, no one can." },
);

const httpTlsSchema = mapping(
  {
    certFile: text({ description: "PEM file of the certificate and its chain." }),
    keyFile: text({
      description:
        "PEM file of its private key, without a passphrase; should be readable by dirmfa's user alone.",
    }),
    clientCaFile: Type.Optional(
      text({
        description: "PEM file of a CA: callers must then present a certificate of it, beside their token.",
      }),
    ),
  },
  {
    description:
      "TLS on the main listener; without it, tokens and codes cross the network unencrypted unless a proxy on this machine encrypts.",
  },
);

export const listenSchema = text({
  format: "listen-address",
  default: "127.0.0.1:8420",
  description:
    "Where the API listens: HOST:PORT or unix:PATH; any address but loopback needs `tls` or a network you trust.",
  wanted: listenWanted,
});

const httpSchema = mapping(
  {
    listen: listenSchema,
    metricsListen: Type.Optional(
      text({
        format: "listen-address",
        description:
          "Serve /metrics on a separate listener, open to whoever reaches it and without TLS, and not on the main one.",
        wanted: listenWanted,
      }),
    ),
    tls: Type.Optional(httpTlsSchema),
    callers: callersSchema,
  },
  { default: {}, description: "The HTTP API." },
);

export const keysFolderSchema = text({
  default: "./keys",
  description:
    "Folder of the keys that seal TOTP secrets: without it every user must enroll again, and whoever has it and the database can make anyone's codes, so back the two up apart.",
});

const keysSchema = mapping(
  { folder: keysFolderSchema },
  { default: {}, description: "Keys outside the database." },
);

const auditSchema = mapping(
  {
    headFolder: Type.Optional(
      text({
        description:
          "Folder outside the database where each replica notes the audit chain's end, so that a cut-off end shows; must be writable and outlive restarts. Default: `keys.folder`.",
      }),
    ),
    stream: Type.Optional(
      mapping(
        {
          to: text({
            pattern:
              "^(stdout|file:.+|https://[^\\s/?#@]+(/[^\\s#]*)?|http://(localhost|127\\.0\\.0\\.1|\\[::1\\])(:[0-9]{1,5})?(/[^\\s#]*)?)$",
            writeOnly: true, // some receivers have a token in it
            description:
              "Where audit events go as JSON lines: `stdout`, `file:PATH`, or a receiver with https (http on this machine alone). They name people: who reads them must be allowed to.",
            wanted: "stdout, file:PATH or https://HOST/PATH",
          }),
          name: text({
            pattern: "^[a-z0-9][a-z0-9-]{0,62}$",
            default: "siem",
            description: "Under this name the position is kept; another one begins with the oldest event.",
            wanted: "lower-case letters, digits and dashes, starting with a letter or digit, at most 63",
          }),
          tokenFile: Type.Optional(
            text({
              description:
                "File with a bearer token for the receiver; should be readable by dirmfa's user alone.",
            }),
          ),
          caFile: Type.Optional(
            text({
              description:
                "PEM file of the CA that signed the receiver's certificate; else the system's CAs.",
            }),
          ),
        },
        { description: "Audit events for a SIEM, in the order of their seals, each at least once." },
      ),
    ),
  },
  { default: {}, description: "The audit chain, and the stream of its events." },
);

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

const mfaSchema = mapping(
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

const retentionSchema = mapping(
  {
    removedUsers: duration(["1d", "3650d"], {
      default: "90d",
      description:
        "How long a removed user keeps its authenticator and flags in case it comes back; then it is purged for good.",
      reason: "a base left out by mistake must leave time to notice",
    }),
    syncRuns: duration(["1d", "3650d"], {
      default: "90d",
      description: "How long sync runs and their plans are kept; the audit events stay.",
      reason: "a run must outlive the question about it",
    }),
    auditEvents: text({
      format: "audit-retention",
      default: "forever",
      description:
        "How long audit events are kept; older ones are cut off for good, and the chain of the others still verifies.",
      wanted: "30d to 3650d, or the word forever",
    }),
  },
  { default: {}, description: "How long things are kept." },
);

const logSchema = mapping(
  {
    level: Type.Enum(["trace", "debug", "info", "warn", "error", "silent"], {
      default: "info",
      description: "How much is logged; codes, passwords and secrets never are.",
    }),
  },
  { default: {}, description: "The operator's log, on standard output." },
);

export const configSchema = mapping(
  {
    database: databaseSchema,
    http: httpSchema,
    console: consoleSchema,
    keys: keysSchema,
    audit: auditSchema,
    directories: list(directorySchema, { default: [], description: "The directories whose users are kept." }),
    mfa: mfaSchema,
    notices: noticesSchema,
    retention: retentionSchema,
    log: logSchema,
  },
  {
    $schema: "http://json-schema.org/draft-07/schema#", // the newest that all editors know
    description: "Configuration of dirmfa.",
  },
);

/** The file's value after the check: defaults filled in, references replaced, durations and addresses still text. */
export type ConfigFile = Static<typeof configSchema>;
