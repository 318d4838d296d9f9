// The YAML file's schema: every key with its default and its risk, the large sections in their own files. `dirmfa config schema`
// prints exactly this, and the documentation's table is made of it. Says what a value may be; check-*.ts say what values mean together.

import { type Static, Type } from "typebox";
import { consoleSchema } from "./console-schema.ts";
import { directorySchema } from "./directory-schema.ts";
import { httpSchema } from "./http-schema.ts";
import { mfaSchema } from "./mfa-schema.ts";
import { noticesSchema } from "./notices-schema.ts";
import { duration, list, mapping, text, wholeNumber } from "./schema-parts.ts";

export const databaseUrlSchema = text({
  format: "postgres-url",
  writeOnly: true,
  description: `PostgreSQL 14 or newer; a password in it must come from a \${NAME} reference. Several servers, as HOST:PORT,HOST:PORT: the one that takes writes is used.`,
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
