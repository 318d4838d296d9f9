// The console's part of the YAML file's schema: where it listens, who has which role, how long a session lasts.

import { Type } from "typebox";
import { duration, list, mapping, text } from "./schema-parts.ts";

function roleGroups(description: string) {
  return list(text({ description: "A group's name or DN." }), { default: [], description });
}

export const consoleListenSchema = text({
  format: "listen-address",
  description:
    "Where the console listens; without it there is none. Any address but loopback needs `tls`, or a proxy that encrypts and `publicUrl`.",
  wanted: "HOST:PORT such as 127.0.0.1:8422 or [::1]:8422, or unix:PATH",
});

export const consolePublicUrlSchema = text({
  pattern: "^https?://[^/?#@\\s]+$",
  description:
    "What people have in the address bar, where a proxy stands before the console: forms are taken from there alone, and with https cookies travel encrypted alone.",
  wanted: "https://HOST, without a path",
});

export const consoleRoles = mapping(
  {
    admin: roleGroups(
      "May do everything: end and require MFA, approve held runs. Whoever can edit such a group in the directory makes admins.",
    ),
    helpDesk: roleGroups("May look at users, unlock them and hand out enrollment passes."),
    auditor: roleGroups("May look at everything and export it; changes nothing but their own MFA."),
  },
  {
    default: {},
    description:
      "Directory groups, by name or DN, whose members have a role; everybody else has their own settings alone. A DN is safer: a name is taken from any directory.",
  },
);

export const consoleIdleSchema = duration(["1m", "1h"], {
  default: "15m",
  description: "A session ends when nothing was asked for so long.",
  reason: "a forgotten browser must not stay open",
});

export const consoleAbsoluteSchema = duration(["5m", "12h"], {
  default: "8h",
  description: "A session ends at the latest so long after its sign-in.",
  reason: "a changed password is asked for no later",
});

export const consoleSchema = mapping(
  {
    listen: Type.Optional(consoleListenSchema),
    publicUrl: Type.Optional(consolePublicUrlSchema),
    tls: Type.Optional(
      mapping(
        {
          certFile: text({ description: "PEM file of the certificate and its chain." }),
          keyFile: text({
            description:
              "PEM file of its private key, without a passphrase; should be readable by dirmfa's user alone.",
          }),
        },
        { description: "TLS on the console's listener; without it passwords cross the network unencrypted." },
      ),
    ),
    roles: consoleRoles,
    session: mapping(
      { idle: consoleIdleSchema, absolute: consoleAbsoluteSchema },
      { default: {}, description: "How long a sign-in lasts." },
    ),
  },
  { default: {}, description: "The web console. It has its own listener." },
);
