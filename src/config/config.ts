// The configuration as the rest of dirmfa reads it: parsed, checked, defaults filled in, durations in milliseconds,
// secrets already read from their files. schema.ts owns the YAML shape, build-config.ts turns one into the other. Pure.

export interface Config {
  /** Absolute path of the YAML file, for messages. */
  path: string;
  /** What works but will hurt, each as `path:line:column: sentence`: for the log at start and for `dirmfa check`. */
  warnings: string[];
  database: DatabaseConfig;
  http: HttpConfig;
  /** Undefined: there is none. */
  console: ConsoleConfig | undefined;
  keys: { /** Folder with one file a sealing key, named by key id. */ folder: string };
  audit: {
    /** Where this replica notes the end of the audit chain. */
    headFolder: string;
    stream: AuditStreamConfig | undefined;
  };
  directories: DirectoryConfig[];
  mfa: MfaConfig;
  notices: NoticesConfig;
  retention: RetentionConfig;
  log: { level: LogLevel };
}

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

/** Whether the database carries prepared statements; `auto` finds it out. */
export type PreparedStatements = "auto" | "on" | "off";

export type DatabaseConfig =
  | { kind: "postgres"; url: string; poolSize: number; preparedStatements?: PreparedStatements }
  | { kind: "embedded"; folder: string };

export interface HttpConfig {
  listen: ListenAddress;
  /** When set, GET /metrics is open on this separate listener, and not on the main one. */
  metricsListen: ListenAddress | undefined;
  tls: HttpTlsConfig | undefined;
  callers: CallerConfig[];
}

export type ListenAddress = { kind: "tcp"; host: string; port: number } | { kind: "unix"; path: string };

export interface HttpTlsConfig {
  certPem: string;
  keyPemSecret: string;
  /** When set, callers must present a certificate signed by this CA. */
  clientCaPem: string | undefined;
}

export type ConsoleRole = "admin" | "helpDesk" | "auditor";

export interface ConsoleConfig {
  listen: ListenAddress;
  /** Scheme and host that browsers show; undefined: those of the listener, as each request names them. */
  publicOrigin: string | undefined;
  tls: HttpTlsConfig | undefined;
  /** Browsers come over https: cookies then never travel without. */
  cookieSecure: boolean;
  /** Group names or DNs. */
  roles: Record<ConsoleRole, string[]>;
  session: { idleMs: number; absoluteMs: number };
}

export type Scope = "login" | "help-desk" | "audit" | "admin" | "metrics";

export interface CallerConfig {
  name: string;
  /** Lower-case hex SHA-256 of the bearer token. */
  tokenSha256: string;
  /** Of tokens that are good beside it, while one takes the place of another. */
  furtherTokensSha256: string[];
  scopes: Scope[];
  /** Requests a second this caller may sustain; twice that in a burst. */
  requestsPerSecond: number;
  /** All but `api` open that front door to it as well (rule 29). */
  protocol: "api" | "privacyidea" | "lemonldap";
  /** It has checked the user's password before it asks; only then does a front door hand out enrollment material. */
  checksPassword: boolean;
  /** A front door may tell it that a user is unknown. */
  learnsUnknown: boolean;
  /** The same for the requests that name one user. */
  requestsPerSecondPerUser: number;
}

export type DirectoryKind = "openldap" | "active-directory" | "389ds" | "generic";

export interface DirectoryConfig {
  name: string;
  /** Undefined: found from the root DSE. */
  kind: DirectoryKind | undefined;
  /** In order of preference: ldap:// or ldaps:// with host and port. */
  urls: string[];
  tls: DirectoryTlsConfig;
  /** Undefined only with an explicit `bind: anonymous`. */
  bind: { dn: string; passwordSecret: string } | undefined;
  users: DirectoryUsersConfig;
  groups: DirectoryGroupsConfig | undefined;
  /** Cron expression, or undefined for runs on demand only. */
  schedule: string | undefined;
  /** Of incremental runs; never without `schedule`. */
  incrementalSchedule?: string | undefined;
  timeZone: string;
  /** A scheduled run starts up to this much later, so that replicas and directories do not all start at once. */
  jitterMs: number;
  limits: DirectoryLimits;
  timeouts: DirectoryTimeouts;
  onDemand: OnDemandConfig;
}

export interface DirectoryTlsConfig {
  startTls: boolean;
  /** PEM bundle of own CAs; undefined means the system's. */
  caPem: string | undefined;
  /** Name to check the certificate against, when it differs from the URL's host. */
  serverName: string | undefined;
  /** Must be set before a password may cross a network unencrypted. */
  allowPlaintext: boolean;
}

/** Undefined attributes and filters take the default of the directory's kind. */
export interface DirectoryUsersConfig {
  bases: string[];
  filter: string | undefined;
  attributes: {
    id: string | undefined;
    username: string | undefined;
    displayName: string | undefined;
    email: string | undefined;
  };
  /** How "the directory says disabled" is read; undefined takes the rule of the kind. */
  disabled: DisabledRule | undefined;
  /** Attributes whose values are accepted at sign-in beside the username. */
  aliases: string[];
  /** When set, `DOMAIN\username` is an alias of every user. */
  aliasDomain: string | undefined;
}

export type DisabledRule =
  | { kind: "never" }
  | { kind: "user-account-control"; attribute: string }
  /** Disabled when the attribute has any of these values (compared without case), or any value when the list is empty. */
  | { kind: "attribute"; attribute: string; values: string[] };

export interface DirectoryGroupsConfig {
  bases: string[];
  filter: string | undefined;
  attributes: { id: string | undefined; name: string | undefined };
  /** Attributes that list members: DNs (member, uniqueMember) or usernames (memberUid). */
  members: string[] | undefined;
  /** A member of a group that is in a group is in both. */
  nested: boolean;
}

/** A run is held when it would do a thing to more than `count` users and to more than `percent` of them, itself or with the runs of a day. */
export interface Limit {
  count: number;
  percent: number;
}

/** What has a limit; src/sync/limits.ts says what each is a share of. */
export type LimitName = "removals" | "disables" | "enables" | "renames" | "requirements" | "newIds";

export interface DirectoryLimits extends Record<LimitName, Limit> {
  /** Complete listings from one server, in a row, that a user must be missing from before it is removed; 1: at once. */
  confirmRemovals: number;
  pageSize: number;
  /** Largest single LDAP message accepted, in bytes. */
  messageBytes: number;
}

export interface DirectoryTimeouts {
  /** TCP, TLS and bind together, per server. */
  connectMs: number;
  /** Longest silence while an answer is awaited. */
  idleMs: number;
  /** A whole listing. */
  listingMs: number;
}

/** How one user is read between two runs (rule 26). */
export interface OnDemandConfig {
  enabled: boolean;
  /** For one question; a sign-in waits no longer. */
  timeoutMs: number;
  /** Questions that sign-ins may cause, in this process. */
  perMinute: number;
  /** How long sign-ins do not ask again for a name. */
  unknownForMs: number;
}

export interface MfaConfig {
  mode: "optional" | "required";
  requireForDirectories: string[];
  /** Group names or DNs. */
  requireForGroups: string[];
  requireForNewUsers: boolean;
  /** `exempt` keeps the very first import of a directory out of requireForNewUsers. */
  initialImport: "exempt" | "include";
  /** 0 means: enroll at the next sign-in. */
  enrollmentGraceMs: number;
  /** Whether a user without an authenticator needs an enrollment pass to begin (rule 31). */
  enrollmentPass: "optional" | "required";
  enrollmentPassExpiresMs: number;
  /** A backup code may take the place of a code of the authenticator that is to be replaced (F15). */
  replaceWithBackupCode: boolean;
  /** Name shown in authenticator apps. */
  issuer: string;
  totp: { windowSteps: 0 | 1 | 2; enrollmentExpiresMs: number };
  backupCodes: { count: number };
  lockout: { failures: number; firstMs: number; maximumMs: number };
}

export interface NoticesConfig {
  mail: MailConfig | undefined;
  webhook: WebhookConfig | undefined;
  /** Of those who look after dirmfa. */
  adminAddresses: readonly string[];
  /** Failed runs of a directory in a row before they are told. */
  failedRuns: number;
  /** Age of a directory's last complete listing at which they are told. */
  staleAfterMs: number;
  /** When users are reminded, before their deadline. */
  remindersMs: readonly number[];
  giveUpAfterMs: number;
}

export interface MailConfig {
  host: string;
  port: number;
  /** TLS from the start; otherwise STARTTLS is required. */
  implicitTls: boolean;
  tls: { caPem: string | undefined; serverName: string | undefined; allowPlaintext: boolean };
  auth: { user: string; passwordSecret: string } | undefined;
  from: string;
  fromName: string;
  words: {
    language: "en" | "de";
    /** By kind of notice. */
    texts: Readonly<Record<string, { subject: string; text: string }>>;
    organization: string;
    /** Whom users turn to. */
    help: string;
    timeZone: string;
  };
}

export interface AuditStreamConfig {
  /** Under which the position is kept: another name begins at the beginning. */
  name: string;
  target:
    | { kind: "stdout" }
    | { kind: "file"; path: string }
    | { kind: "https"; url: string; tokenSecret: string | undefined; caPem: string | undefined };
}

export interface WebhookConfig {
  url: string;
  keySecret: Buffer;
  caPem: string | undefined;
}

export interface RetentionConfig {
  removedUsersMs: number;
  syncRunsMs: number;
  /** Undefined: for ever. */
  auditEventsMs: number | undefined;
}
