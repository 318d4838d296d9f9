// One entry of `directories` as it stands in the YAML file: how to reach a directory, what to read, and how careful to be.

import { type Static, Type } from "typebox";
import { limitsSchema } from "./limits-schema.ts";
import { duration, flag, list, mapping, text, wholeNumber } from "./schema-parts.ts";

const attributeName = {
  format: "attribute-name",
  wanted: "an attribute name such as `uid` or an OID",
} as const;

const baseDn = text({
  format: "ldap-dn",
  description: "DN under which everything is read, subtree.",
  wanted: "a DN such as ou=people,dc=example,dc=org",
});

const filterText = {
  format: "ldap-filter",
  wanted: "an LDAP filter (RFC 4515) such as (objectClass=person)",
} as const;

export const urlSchema = text({
  format: "directory-url",
  description: "One server.",
  wanted: "ldaps://HOST[:PORT] or ldap://HOST[:PORT]; bases and filters have their own keys",
});

export const directoryTlsSchema = mapping(
  {
    startTls: flag({
      default: false,
      description:
        "Turn an ldap:// connection into an encrypted one before the bind; ldaps:// is simpler where the server has it.",
    }),
    caFile: Type.Optional(
      text({
        description:
          "PEM file of the CAs to trust instead of the system's: needed for an own CA, and narrower.",
      }),
    ),
    serverName: Type.Optional(
      text({
        description: "Name the certificate must carry, when the URL has another one (an IP address, say).",
      }),
    ),
    allowPlaintext: flag({
      default: false,
      description:
        "Accept an unencrypted connection to another machine: anyone on the way reads the bind password and can forge users and groups.",
    }),
  },
  { default: {}, description: "How the connection is protected." },
);

export const bindSchema = Type.Union(
  [
    Type.Literal("anonymous"),
    mapping(
      {
        dn: text({
          description:
            "Who dirmfa is to the directory: a DN, in Active Directory also user@domain. A reader is enough.",
        }),
        passwordFile: Type.Optional(
          text({
            description: "File with the password on its one line; should be readable by dirmfa's user alone.",
          }),
        ),
        password: Type.Optional(
          text({
            writeOnly: true,
            description: `The password as a \${NAME} reference to the environment; a password in plain is refused.`,
          }),
        ),
      },
      { description: "A simple bind." },
    ),
  ],
  {
    description:
      "Account that reads the directory, or the word `anonymous`; what it cannot see counts as gone, so give it the whole of every base.",
    wanted: "a mapping with `dn` and `passwordFile`, or the word anonymous",
  },
);

export const disabledRuleSchema = mapping(
  {
    rule: Type.Enum(["never", "user-account-control", "attribute"], {
      description:
        "`user-account-control` reads Active Directory's bit 2 and accountExpires, `attribute` any attribute; `never` lets users whom the directory disabled sign in here.",
    }),
    attribute: Type.Optional(
      text({ ...attributeName, description: "Attribute to read; `rule: attribute` needs it." }),
    ),
    values: list(text({ description: "One value." }), {
      default: [],
      description: "Values that mean disabled, compared without case; with none, any value does.",
    }),
  },
  { description: "How the directory says that a user is disabled; without it, the way of its kind." },
);

const usersSchema = mapping(
  {
    bases: list(baseDn, {
      minItems: 1,
      description: "Where users are; removing a base removes its users at the next run.",
    }),
    filter: Type.Optional(
      text({
        ...filterText,
        description:
          "Which entries are users; one that stops matching is removed. Without it, the filter of the kind.",
      }),
    ),
    attributes: mapping(
      {
        id: Type.Optional(
          text({
            ...attributeName,
            description:
              "The immutable id (entryUUID, objectGUID, nsUniqueId, ipaUniqueID); changing it later makes every user a new one, and the run is held.",
          }),
        ),
        username: Type.Optional(
          text({ ...attributeName, description: "Name that users sign in with (uid, sAMAccountName)." }),
        ),
        displayName: Type.Optional(text({ ...attributeName, description: "Name shown to people." })),
        email: Type.Optional(text({ ...attributeName, description: "E-mail address." })),
      },
      { default: {}, description: "Attributes to read; each has a default by the directory's kind." },
    ),
    disabled: Type.Optional(disabledRuleSchema),
    aliases: list(text({ ...attributeName, description: "One attribute." }), {
      default: [],
      description:
        "Attributes whose values are sign-in names too (mail, userPrincipalName); one that users can edit themselves lets them take each other's.",
    }),
    aliasDomain: Type.Optional(
      text({
        pattern: "^[^\\\\/@\\s]+$",
        maxLength: 255,
        description: "Makes DOMAIN\\username a sign-in name of every user.",
        wanted: "a domain name without \\, / or @",
      }),
    ),
  },
  { description: "Which entries become users." },
);

export const groupBasesSchema = list(baseDn, {
  minItems: 1,
  description:
    "Where groups are; those elsewhere are not read, nor their names known to mfa.requireForGroups.",
});

const groupsSchema = mapping(
  {
    bases: groupBasesSchema,
    filter: Type.Optional(
      text({ ...filterText, description: "Which entries are groups. Without it, the filter of the kind." }),
    ),
    attributes: mapping(
      {
        id: Type.Optional(text({ ...attributeName, description: "The group's immutable id." })),
        name: Type.Optional(
          text({ ...attributeName, description: "The group's name, as in mfa.requireForGroups." }),
        ),
      },
      { default: {}, description: "Attributes to read; each has a default by the directory's kind." },
    ),
    members: Type.Optional(
      list(text({ ...attributeName, description: "One attribute." }), {
        minItems: 1,
        description: "Attributes that list members: DNs (member, uniqueMember) or usernames (memberUid).",
      }),
    ),
    nested: flag({
      default: true,
      description:
        "A member of a group within a group is in both; off, MFA required for the outer group misses the inner one's members.",
    }),
  },
  { description: "Which groups are read; without it, none are, and no group can require MFA." },
);

const timeoutsSchema = mapping(
  {
    connect: duration(["1s", "5m"], {
      default: "10s",
      description: "For name, TCP, TLS and bind together, per server; then the next URL is tried.",
    }),
    idle: duration(["1s", "1h"], {
      default: "1m",
      description: "Longest silence while an answer is awaited; then the run fails and changes nothing.",
    }),
    listing: duration(["10s", "1d"], {
      default: "1h",
      description: "For a whole listing; then the run fails and changes nothing.",
    }),
  },
  { default: {}, description: "When to give up." },
);

const onDemandSchema = mapping(
  {
    enabled: flag({
      default: true,
      description:
        "Read one user from the directory when a sign-in names somebody unknown, disabled or removed; off, newcomers wait for the next run.",
    }),
    timeout: duration(["1s", "10s"], {
      default: "2s",
      description:
        "For one such question; then the sign-in is answered from what is stored, and a longer time lets a slow directory delay it.",
    }),
    perMinute: wholeNumber([1, 6000], {
      default: 60,
      description:
        "Questions that sign-ins may cause a minute, in each daemon; made-up names use them up, and real newcomers wait for the next minute or run.",
      reason: "each is a search or more in the directory",
    }),
    unknownFor: duration(["1s", "1h"], {
      default: "1m",
      description:
        "How long a name is not asked for again by sign-ins; who is made in the directory meanwhile waits as long, unless an admin asks.",
    }),
  },
  { default: {}, description: "Reading one user between two runs." },
);

export const nameSchema = text({
  pattern: "^[a-z0-9][a-z0-9-]*$",
  maxLength: 63, // as a DNS label: it goes into metrics, URLs and logs
  description:
    "The directory's name here; users belong to it, so a new name means a new directory with new users.",
  wanted: "lower-case letters, digits and dashes, starting with a letter or digit, at most 63",
});

export const scheduleSchema = text({
  format: "schedule",
  default: "*/30 * * * *",
  description:
    "When runs start, as cron with 5 fields, or 6 with seconds first; `on-demand` for no schedule: people who left then stay until someone starts a run.",
  wanted: "5 or 6 cron fields such as */30 * * * *, or the word on-demand",
});

export const directorySchema = mapping(
  {
    name: nameSchema,
    kind: Type.Enum(["auto", "openldap", "active-directory", "389ds", "generic"], {
      default: "auto",
      description:
        "Decides the defaults for filters and attributes; `auto` finds it from the root DSE, `389ds` covers FreeIPA.",
    }),
    urls: list(urlSchema, {
      description:
        "Servers of this one directory in order of preference; after a failover a run adds and changes, but removes no one.",
      minItems: 1,
    }),
    tls: directoryTlsSchema,
    bind: bindSchema,
    users: usersSchema,
    groups: Type.Optional(groupsSchema),
    schedule: scheduleSchema,
    incrementalSchedule: Type.Optional(
      text({
        format: "cron",
        description:
          "When incremental runs start between those of `schedule`: they read what the server says has changed, and remove nobody; where that cannot be told, each is a full run.",
        wanted: "5 or 6 cron fields such as * * * * *",
      }),
    ),
    timeZone: text({
      format: "iana-time-zone",
      default: "UTC",
      description: "Time zone of the schedules; one with summer time skips or doubles an hour a year.",
      wanted: "an IANA time zone such as Europe/Vienna",
    }),
    jitter: duration(["0s", "1h"], {
      default: "30s",
      description:
        "A scheduled run starts up to this much later, so that replicas and directories do not all start at once.",
    }),
    limits: limitsSchema,
    timeouts: timeoutsSchema,
    onDemand: onDemandSchema,
  },
  { description: "One directory." },
);

export type DirectoryFile = Static<typeof directorySchema>;
