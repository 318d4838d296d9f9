// The section `notices` of the YAML file: who is told of what, and through what.

import { Type } from "typebox";
import { duration, flag, list, mapping, text, wholeNumber } from "./schema-parts.ts";

// One plain address: no name, no second one, nothing that ends a header line.
const addressPattern = "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$";
const addressWanted = "a plain mail address such as dirmfa@example.org";

export const mailServerSchema = text({
  pattern: "^smtps?://[A-Za-z0-9._-]+(:[0-9]{1,5})?$",
  description:
    "Mail server: `smtps://HOST:465` for TLS from the start, `smtp://HOST:587` for STARTTLS, without which nothing is sent.",
  wanted: "smtps://HOST[:PORT] or smtp://HOST[:PORT]",
});

const mailSchema = mapping(
  {
    server: mailServerSchema,
    tls: mapping(
      {
        caFile: Type.Optional(
          text({
            description: "PEM file of the CA that signed the server's certificate; else the system's CAs.",
          }),
        ),
        serverName: Type.Optional(
          text({ description: "Name in the certificate, where it is not the server's host." }),
        ),
        allowPlaintext: flag({
          default: false,
          description:
            "Send without TLS: only for a mail server on this machine. Others read who uses MFA, and could change what users are told.",
        }),
      },
      { default: {}, description: "How the mail server is known." },
    ),
    user: Type.Optional(text({ description: "Name to sign in to the mail server with." })),
    passwordFile: Type.Optional(
      text({ description: "File with its password on one line; should be readable by dirmfa's user alone." }),
    ),
    from: text({
      pattern: addressPattern,
      maxLength: 254,
      description: "Sender of all notices; replies go there.",
      wanted: addressWanted,
    }),
    language: Type.Enum(["en", "de"], { default: "en", description: "Language of the mails." }),
    textsFile: Type.Optional(
      text({
        description:
          "YAML file with your own subject and text for some kinds of notice (docs/notices.md); the others keep those of the language.",
      }),
    ),
    timeZone: text({
      format: "iana-time-zone",
      default: "UTC",
      description: "Time zone of the times in mails.",
      wanted: "an IANA time zone such as Europe/Vienna",
    }),
    help: text({
      pattern: "^[^\\p{Cc}]+$",
      maxLength: 200,
      default: "your help desk",
      description:
        "Whom users turn to, in every mail: a phone number or an address that they can check elsewhere.",
      wanted: "one line",
    }),
  },
  { description: "Mail to users and admins; without it nobody is told by mail." },
);

export const webhookUrlSchema = text({
  pattern: "^(https://[^\\s/?#@]+|http://(localhost|127\\.0\\.0\\.1|\\[::1\\])(:[0-9]{1,5})?)(/[^\\s#]*)?$",
  writeOnly: true, // some receivers have a token in it
  description:
    "Where admins' notices are posted: https, or http on this machine alone. Redirects are not followed.",
  wanted: "https://HOST/PATH",
});

const adminsSchema = mapping(
  {
    mail: list(
      text({ pattern: addressPattern, maxLength: 254, description: "An address.", wanted: addressWanted }),
      {
        default: [],
        description:
          "Addresses of those who look after dirmfa; they are told of held and failing runs, and of whatever is broken.",
      },
    ),
    webhook: Type.Optional(
      mapping(
        {
          url: webhookUrlSchema,
          keyFile: text({
            description:
              "File with the key that signs each request: 24 to 64 random bytes in base64, as `openssl rand -base64 32` prints.",
          }),
          caFile: Type.Optional(
            text({
              description:
                "PEM file of the CA that signed the receiver's certificate; else the system's CAs.",
            }),
          ),
        },
        { description: "A receiver of signed requests (docs/notices.md)." },
      ),
    ),
    failedRuns: wholeNumber([1, 100], {
      default: 3,
      description: "Failed runs of a directory in a row before admins are told.",
      reason: "a server that restarts fails one run",
    }),
    staleAfter: duration(["10m", "90d"], {
      default: "1d",
      description:
        "Age of a directory's last complete listing at which admins are told; until a run succeeds, leavers can sign in.",
    }),
  },
  { default: {}, description: "What admins are told, and where." },
);

export const noticesSchema = mapping(
  {
    mail: Type.Optional(mailSchema),
    admins: adminsSchema,
    reminders: list(
      Type.String({
        pattern: "^[0-9]{1,7}[smhd]$",
        durationRange: ["1h", "60d"],
        description: "Time before the deadline.",
      }),
      {
        default: ["7d", "1d"],
        description:
          "When users who must enroll are reminded, before their grace period ends; beside the notice at its beginning.",
      },
    ),
    giveUpAfter: duration(["1h", "30d"], {
      default: "3d",
      description:
        "How long a notice is tried again; then it is dead, and `dirmfa notice list --state dead` shows it.",
      reason: "mail servers are away for a weekend",
    }),
  },
  { default: {}, description: "Who is told of what: users by mail, admins by mail and webhook." },
);
