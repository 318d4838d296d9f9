// The section `http` of the YAML file: where the API listens, with what certificate, and who may call it.

import { Type } from "typebox";
import { flag, list, mapping, text, wholeNumber } from "./schema-parts.ts";

const listenWanted = "HOST:PORT such as 127.0.0.1:8420 or [::1]:8420, or unix:PATH";

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

export const httpSchema = mapping(
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
