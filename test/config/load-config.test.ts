// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment look like this

import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load-config.ts";
import { noticeTexts } from "../../src/config/notice-texts.ts";
import { AppError } from "../../src/errors.ts";
import { directoryWith } from "./parsing.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "dirmfa-config-"));
  path = join(folder, "dirmfa.yaml");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

const certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const privateKey = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

async function write(name: string, content: string | Uint8Array, mode = 0o600): Promise<void> {
  await writeFile(join(folder, name), content);
  await chmod(join(folder, name), mode);
}

async function load(text: string | Uint8Array, env: NodeJS.ProcessEnv = {}): Promise<Config> {
  await writeFile(path, text);
  return await loadConfig(path, env);
}

/** The message's lines, without the file's name in front. */
async function problemsOf(text: string | Uint8Array): Promise<string[]> {
  const error = await load(text).catch((reason: unknown) => reason);
  if (!(error instanceof AppError)) throw new Error("no AppError was thrown", { cause: error });
  expect(error.code).toBe("invalid-config");
  expect(error.remedy).toBeDefined();
  return error.message.split("\n").map((line) => line.replace(`${path}:`, ""));
}

const withPasswordFile = directoryWith("bind: {dn: cn=reader, passwordFile: password}");

test("everything that can be written is read", async () => {
  await mkdir(join(folder, "tls"));
  await write("tls/cert.pem", certificate, 0o644);
  await write("tls/key.pem", privateKey);
  await write("tls/ca.pem", certificate);
  await write("siem-token", "hunter2\n");
  await write("mail-password", "hunter2\n");
  await write("webhook-key", `${Buffer.alloc(32).toString("base64")}\n`);
  await write("texts.yaml", "enrolled: {subject: 'Hi {username}', text: 'Since {at}'}\n", 0o644);
  await write("url", "postgres://u:p@localhost/dirmfa\n");
  const config = await load(
    `database: {urlFile: url, poolSize: 5, preparedStatements: off}
http:
  listen: "[::1]:8443"
  metricsListen: unix:run/metrics.sock
  tls: {certFile: tls/cert.pem, keyFile: tls/key.pem, clientCaFile: tls/ca.pem}
  callers:
    - {name: login, tokenSha256: ${"a".repeat(64)}, scopes: [login, metrics], requestsPerSecond: 7,
       furtherTokensSha256: [${"b".repeat(64)}], requestsPerSecondPerUser: 3, protocol: privacyidea, checksPassword: true, learnsUnknown: true}
keys: {folder: /var/lib/dirmfa/keys}
audit: {headFolder: /var/lib/dirmfa, stream: {to: "https://siem.example.org/in", name: main, tokenFile: siem-token, caFile: tls/ca.pem}}
directories:
  - name: head-office
    kind: active-directory
    urls: [ldap://dc1.example.org, ldap://dc2.example.org]
    tls: {startTls: true, caFile: tls/ca.pem, serverName: dc.example.org}
    bind: {dn: reader@example.org, password: "\${AD_PASSWORD}"}
    users:
      bases: ["ou=Staff,dc=example,dc=org"]
      filter: (objectClass=user)
      attributes: {id: objectGUID, username: sAMAccountName, displayName: cn, email: mail}
      disabled: {rule: user-account-control}
      aliases: [userPrincipalName]
      aliasDomain: EXAMPLE
    groups: {bases: ["ou=Groups,dc=example,dc=org"], attributes: {name: cn}, members: [member], nested: false}
    schedule: on-demand
    timeZone: Europe/Vienna
    jitter: 0s
    limits: {removals: {count: 1, percent: 0.5}, disables: {count: 2, percent: 1}, enables: {count: 3, percent: 2},
      renames: {count: 4, percent: 3}, requirements: {count: 6, percent: 2}, newIds: {count: 5, percent: 4}, confirmRemovals: 3, pageSize: 500, messageBytes: 1000000}
    timeouts: {connect: 2s, idle: 3s, listing: 4m}
    onDemand: {enabled: false, timeout: 3s, perMinute: 7, unknownFor: 2m}
mfa:
  mode: required
  requireForDirectories: [head-office]
  requireForGroups: [VPN]
  requireForNewUsers: true
  initialImport: include
  enrollmentGrace: 7d
  enrollmentPass: required
  enrollmentPassExpires: 2h
  replaceWithBackupCode: false
  issuer: Example Ltd
  totp: {window: 2, enrollmentExpires: 5m}
  backupCodes: {count: 8}
  lockout: {failures: 3, first: 30s, maximum: 1h}
notices:
  mail: {server: "smtp://mail.example.org:2525", tls: {caFile: tls/ca.pem, serverName: mx.example.org}, user: mailer, passwordFile: mail-password,
    from: dirmfa@example.org, language: de, textsFile: texts.yaml, timeZone: Europe/Vienna, help: phone 4711}
  admins: {mail: [ops@example.org], webhook: {url: "https://alerts.example.org/x", keyFile: webhook-key}, failedRuns: 2, staleAfter: 2h}
  reminders: [2d]
  giveUpAfter: 1d
retention: {removedUsers: 30d, syncRuns: 60d, auditEvents: 400d}
log: {level: debug}
`,
    { AD_PASSWORD: "hunter2" },
  );
  expect(config).toEqual({
    path,
    warnings: [],
    database: {
      kind: "postgres",
      url: "postgres://u:p@localhost/dirmfa",
      poolSize: 5,
      preparedStatements: "off",
    },
    http: {
      listen: { kind: "tcp", host: "::1", port: 8443 },
      metricsListen: { kind: "unix", path: join(folder, "run/metrics.sock") },
      tls: { certPem: certificate, keyPemSecret: privateKey, clientCaPem: certificate },
      callers: [
        {
          name: "login",
          tokenSha256: "a".repeat(64),
          furtherTokensSha256: ["b".repeat(64)],
          scopes: ["login", "metrics"],
          requestsPerSecond: 7,
          requestsPerSecondPerUser: 3,
          protocol: "privacyidea",
          checksPassword: true,
          learnsUnknown: true,
        },
      ],
    },
    keys: { folder: "/var/lib/dirmfa/keys" },
    audit: {
      headFolder: "/var/lib/dirmfa",
      stream: {
        name: "main",
        target: {
          kind: "https",
          url: "https://siem.example.org/in",
          tokenSecret: "hunter2",
          caPem: certificate,
        },
      },
    },
    directories: [
      {
        name: "head-office",
        kind: "active-directory",
        urls: ["ldap://dc1.example.org", "ldap://dc2.example.org"],
        tls: { startTls: true, caPem: certificate, serverName: "dc.example.org", allowPlaintext: false },
        bind: { dn: "reader@example.org", passwordSecret: "hunter2" },
        users: {
          bases: ["ou=Staff,dc=example,dc=org"],
          filter: "(objectClass=user)",
          attributes: { id: "objectGUID", username: "sAMAccountName", displayName: "cn", email: "mail" },
          disabled: { kind: "user-account-control", attribute: "userAccountControl" },
          aliases: ["userPrincipalName"],
          aliasDomain: "EXAMPLE",
        },
        groups: {
          bases: ["ou=Groups,dc=example,dc=org"],
          filter: undefined,
          attributes: { id: undefined, name: "cn" },
          members: ["member"],
          nested: false,
        },
        schedule: undefined,
        timeZone: "Europe/Vienna",
        jitterMs: 0,
        limits: {
          removals: { count: 1, percent: 0.5 },
          disables: { count: 2, percent: 1 },
          enables: { count: 3, percent: 2 },
          renames: { count: 4, percent: 3 },
          requirements: { count: 6, percent: 2 },
          newIds: { count: 5, percent: 4 },
          confirmRemovals: 3,
          pageSize: 500,
          messageBytes: 1_000_000,
        },
        timeouts: { connectMs: 2_000, idleMs: 3_000, listingMs: 240_000 },
        onDemand: { enabled: false, timeoutMs: 3_000, perMinute: 7, unknownForMs: 120_000 },
      },
    ],
    mfa: {
      mode: "required",
      requireForDirectories: ["head-office"],
      requireForGroups: ["VPN"],
      requireForNewUsers: true,
      initialImport: "include",
      enrollmentGraceMs: 604_800_000,
      enrollmentPass: "required",
      enrollmentPassExpiresMs: 7_200_000,
      replaceWithBackupCode: false,
      issuer: "Example Ltd",
      totp: { windowSteps: 2, enrollmentExpiresMs: 300_000 },
      backupCodes: { count: 8 },
      lockout: { failures: 3, firstMs: 30_000, maximumMs: 3_600_000 },
    },
    notices: {
      mail: {
        host: "mail.example.org",
        port: 2525,
        implicitTls: false,
        tls: { caPem: certificate, serverName: "mx.example.org", allowPlaintext: false },
        auth: { user: "mailer", passwordSecret: "hunter2" },
        from: "dirmfa@example.org",
        fromName: "Example Ltd",
        words: {
          language: "de",
          texts: { ...noticeTexts.de, enrolled: { subject: "Hi {username}", text: "Since {at}" } },
          organization: "Example Ltd",
          help: "phone 4711",
          timeZone: "Europe/Vienna",
        },
      },
      webhook: { url: "https://alerts.example.org/x", keySecret: Buffer.alloc(32), caPem: undefined },
      adminAddresses: ["ops@example.org"],
      failedRuns: 2,
      staleAfterMs: 7_200_000,
      remindersMs: [172_800_000],
      giveUpAfterMs: 86_400_000,
    },
    retention: {
      removedUsersMs: 2_592_000_000,
      syncRunsMs: 5_184_000_000,
      auditEventsMs: 34_560_000_000,
    },
    log: { level: "debug" },
  });
});

test.each([
  ["mail: {server: mail.example.org, from: a@b.org}", "notices.mail.server: found "],
  ["mail: {server: 'smtps://m', from: 'A <a@b.org>'}", "notices.mail.from: found "],
  ['mail: {server: "smtps://m", from: "a@b.org\\nBcc: c@d.org"}', "notices.mail.from: found "],
  ["mail: {server: 'smtps://m', from: a@b.org, user: x}", "notices.mail.user: passwordFile is missing"],
  ["mail: {server: 'smtps://m', from: a@b.org, textsFile: texts}", "stands for nothing in enrolled"],
  ["admins: {webhook: {url: 'http://alerts.example.org/', keyFile: key}}", "notices.admins.webhook.url: "],
  [
    "admins: {webhook: {url: 'https://a.example.org/', keyFile: key}}",
    "holds no key: wanted 24 to 64 bytes in base64",
  ],
  ["admins: {mail: ['a@b.org, c@d.org']}", "notices.admins.mail[0]: found "],
  ["reminders: [5m]", "notices.reminders[0]: "],
])("notices with %s are refused", async (notices, problem) => {
  await write("key", "short");
  await write("texts", "enrolled: {subject: x, text: '{secret}'}");
  expect((await problemsOf(`notices:\n  ${notices}\n`)).join()).toContain(problem);
});

test("the embedded database lies beside the file unless told otherwise", async () => {
  expect((await load("log: {}")).database).toEqual({ kind: "embedded", folder: join(folder, "data") });
});

test.each([
  ["hunter2\n", "hunter2"],
  ["hunter2\r\n", "hunter2"],
  ["hunter2", "hunter2"],
  [" hunter 2 \n", " hunter 2 "],
  ["\ufeffhunter2\r\n", "hunter2"],
])("a password file with %j is read without its line end", async (content, password) => {
  await write("password", content);
  expect((await load(withPasswordFile)).directories[0]?.bind?.passwordSecret).toBe(password);
});

test.each([
  ["", "is empty"],
  ["\n", "is empty"],
  ["hunter2\n\n", "has several lines, wanted one"],
  [Buffer.from([0x68, 0xff]), "is not UTF-8 text"],
])("a password file with %j is refused, and not shown", async (content, problem) => {
  await write("password", content);
  expect(await problemsOf(withPasswordFile)).toEqual([
    `4:41: directories[0].bind.passwordFile: ${join(folder, "password")} ${problem}`,
  ]);
});

test.each([
  ["no/such", "cannot be read: there is no such file"],
  [".", "is not a file"],
  ["/dev/null", "is not a file"],
])("a password file at %s is refused", async (name, problem) => {
  expect(await problemsOf(withPasswordFile.replace("File: password", `File: ${name}`))).toEqual([
    `4:41: directories[0].bind.passwordFile: ${resolve(folder, name)} ${problem}`,
  ]);
});

test("a secret that everyone can read is a warning at its place", async () => {
  await write("password", "hunter2\n", 0o644);
  const { warnings } = await load(withPasswordFile);
  expect(warnings).toContain(
    `${path}:4:41: directories[0].bind.passwordFile: ${join(folder, "password")} holds a secret and everyone on this machine can read it; chmod 600 keeps it to its owner`,
  );
});

test("a secret behind a symbolic link is read and judged by its target", async () => {
  await write("real", "hunter2\n", 0o640);
  await symlink("real", join(folder, "password"));
  const config = await load(withPasswordFile);
  expect(config.directories[0]?.bind?.passwordSecret).toBe("hunter2");
  expect(config.warnings.join()).not.toContain("everyone");
});

test.each([
  ["certFile", certificate.replace("CERTIFICATE", "KEY"), "has no PEM certificate in it"],
  ["keyFile", certificate, "has no PEM private key in it"],
  [
    "keyFile",
    privateKey.replaceAll("PRIVATE", "ENCRYPTED PRIVATE"),
    "has a private key with a passphrase, which dirmfa cannot ask for",
  ],
])("http.tls.%s with something else in it is refused", async (key, content, problem) => {
  await write("certFile", certificate);
  await write("keyFile", privateKey);
  await write(key, content);
  const problems = await problemsOf("http: {tls: {certFile: certFile, keyFile: keyFile}}");
  expect(problems).toEqual([expect.stringContaining(`http.tls.${key}: ${join(folder, key)} ${problem}`)]);
});

test("a database URL from a file is checked, and not shown", async () => {
  await write("url", "mysql://u:hunter2@h/d\n");
  expect(await problemsOf("database: {urlFile: url}")).toEqual([
    `1:21: database.urlFile: ${join(folder, "url")} holds no postgres://USER@HOST:PORT/DATABASE`,
  ]);
});

test("problems of files and of the text are told together, in order", async () => {
  const text = `log: {level: loud}\n${withPasswordFile}mfa: {mode: always}\n`;
  expect((await problemsOf(text)).map((line) => line.replace(/: .*/, ""))).toEqual(["1:14", "5:41", "7:13"]);
});

test("the remedy counts the problems", async () => {
  await expect(load("log: {level: loud}\nkeys: []")).rejects.toMatchObject({
    code: "invalid-config",
    remedy: expect.stringContaining("these 2 problems"),
  });
});

test("a text that is not UTF-8 is refused at the byte", async () => {
  expect(await problemsOf(Buffer.from("log: {}\n# caf\xe9\n", "latin1"))).toEqual([
    "2:6: the file is not UTF-8 from here on; save it as UTF-8",
  ]);
});

test("a text in UTF-16 is refused", async () => {
  expect(await problemsOf(Buffer.from("\ufefflog: {}\n", "utf16le"))).toEqual([
    "1:1: the file is not UTF-8 from here on; save it as UTF-8",
  ]);
});

test("a text in UTF-8 with a byte order mark is read", async () => {
  expect((await load("\ufefflog: {level: warn}\n")).log.level).toBe("warn");
});

test("a file that is larger than 1 MiB is refused", async () => {
  expect(await problemsOf(Buffer.alloc(20 * 1024 * 1024, "#"))).toEqual([
    "1:1: the file is larger than 1 MiB; this is no configuration",
  ]);
});

test("a file that is not there is named, with what to do", async () => {
  await expect(loadConfig(path, {})).rejects.toMatchObject({
    code: "invalid-config",
    message: `${path}: cannot be read: there is no such file`,
    remedy: expect.stringContaining("--config"),
  });
});
