// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to the environment look like this

import { describe, expect, test } from "vitest";
import { directoryWith, parse, problemsOf, warningsOf } from "./parsing.ts";

const zeros = "0".repeat(64);

describe("a sound file", () => {
  test("gets its defaults", () => {
    const { file, problems } = parse("log: {}\n");
    expect(problems).toEqual([]);
    expect(file).toMatchObject({
      database: { embedded: "./data", poolSize: 10, preparedStatements: "auto" },
      http: { listen: "127.0.0.1:8420", callers: [] },
      keys: { folder: "./keys" },
      directories: [],
      mfa: { mode: "optional", totp: { window: 1 }, lockout: { failures: 5, first: "1m", maximum: "12h" } },
      retention: { removedUsers: "90d", syncRuns: "90d", auditEvents: "forever" },
      audit: {},
      log: { level: "info" },
    });
  });

  test("may share values by anchor and alias", () => {
    const { file } = parse(`${directoryWith("bind: &reader {dn: cn=reader, passwordFile: p}")}  - name: other
    urls: [ldaps://b]
    bind: *reader
    users: { bases: [dc=b] }
`);
    expect(file?.directories[1]?.bind).toEqual({ dn: "cn=reader", passwordFile: "p" });
  });

  test("names the files it needs, relative to its own folder", () => {
    const { fileReferences } = parse(directoryWith("bind: {dn: cn=reader, passwordFile: secrets/p}"));
    expect(fileReferences).toEqual([
      {
        line: 4,
        column: 41,
        key: "directories[0].bind.passwordFile",
        content: "secret",
        path: "/etc/dirmfa/secrets/p",
      },
    ]);
  });
});

describe("single values", () => {
  test.each([
    // found and wanted, at the value
    [
      "log: {level: loud}",
      '1:14: log.level: found "loud", wanted one of trace, debug, info, warn, error, silent',
    ],
    ["mfa: {requireForNewUsers: yes}", '1:27: mfa.requireForNewUsers: found "yes", wanted true or false'],
    ["keys: {folder: 7}", "1:16: keys.folder: found 7, wanted text"],
    ["keys: {folder: ''}", '1:16: keys.folder: found "", wanted a text that is not empty'],
    ["keys: [a]", "1:7: keys: found a list, wanted a mapping of keys"],
    ["keys:\nlog: {}", "1:1: keys: found nothing, wanted a mapping of keys, or the key left out"],
    ["directories: {}", "1:14: directories: found a mapping, wanted a list"],
    ["database: {poolSize: 2.5}", "1:22: database.poolSize: found 2.5, wanted a whole number"],
    ["database: {poolSize: .nan}", "1:22: database.poolSize: found NaN, wanted a whole number"],
    ["mfa: {issuer: 'A:B'}", '1:15: mfa.issuer: found "A:B", wanted 1 to 64 characters, no colon'],
    ["mfa: {issuer: ' A'}", '1:15: mfa.issuer: found " A", wanted 1 to 64 characters'],
    ["mfa: {enrollmentGrace: 7}", "1:24: mfa.enrollmentGrace: found 7, wanted a duration such as 30s, 15m"],
    ["mfa: {enrollmentGrace: 1w}", '1:24: mfa.enrollmentGrace: found "1w", wanted a duration such as'],
    ["mfa: {enrollmentGrace: 91d}", '1:24: mfa.enrollmentGrace: found "91d", wanted 0s to 90d: a longer one'],
    ["mfa: {totp: {window: 3}}", "1:22: mfa.totp.window: found 3, wanted 0 to 2: RFC 6238 recommends one"],
    ["mfa: {totp: {window: -1}}", "1:22: mfa.totp.window: found -1, wanted 0 to 2"],
    ["mfa: {backupCodes: {count: 4}}", "1:28: mfa.backupCodes.count: found 4, wanted 5 to 20"],
    ["mfa: {lockout: {failures: 21}}", "1:27: mfa.lockout.failures: found 21, wanted 3 to 20"],
    ["mfa: {lockout: {failures: 2}}", "1:27: mfa.lockout.failures: found 2, wanted 3 to 20"],
    ["http: {listen: '8420'}", '1:16: http.listen: found "8420", wanted HOST:PORT such as 127.0.0.1:8420'],
    ["http: {listen: 8420}", "1:16: http.listen: found 8420, wanted text: HOST:PORT"],
    [
      "database: {url: 'mysql://h/d'}",
      "1:17: database.url: found a value that is not shown here, wanted postgres://",
    ],
  ])("%s", (text, problem) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });

  test.each([
    ["name: Example", '2:11: directories[0].name: found "Example", wanted lower-case letters'],
    ["kind: ad", '6:11: directories[0].kind: found "ad", wanted one of auto, openldap, active-directory'],
    ["urls: []", "3:11: directories[0].urls: found an empty list, wanted at least one item"],
    [
      "urls: [ldap.example.org]",
      '3:12: directories[0].urls[0]: found "ldap.example.org", wanted ldaps://HOST',
    ],
    ["urls: ['ldaps://h/dc=b']", '3:12: directories[0].urls[0]: found "ldaps://h/dc=b", wanted ldaps://HOST'],
    ["urls: ['ldaps://h', 'ldaps://h']", "3:25: directories[0].urls[1]: the same as item [0]"],
    ["bind: anonymus", '4:11: directories[0].bind: found "anonymus", wanted a mapping with `dn`'],
    ["bind: [a]", "4:11: directories[0].bind: found a list, wanted a mapping with `dn`"],
    ["bind: {passwordFile: p}", '4:5: directories[0].bind: the key "dn" is missing, wanted who dirmfa is'],
    ["users: {bases: [people]}", '5:21: directories[0].users.bases[0]: found "people", wanted a DN such as'],
    [
      "users: {bases: [dc=b], filter: '(a=b'}",
      '5:36: directories[0].users.filter: found "(a=b", wanted an LDAP filter (RFC 4515) such as (objectClass=person): at its character 5, a closing parenthesis',
    ],
    [
      "users: {bases: [dc=b], filter: '(&(objectClass=person)(uid))'}",
      '5:36: directories[0].users.filter: found "(&(objectClass=person)(uid))", wanted an LDAP filter (RFC 4515) such as (objectClass=person): at its character 27, =, >=, <=, ~= or :=',
    ],
    [
      "groups: {bases: [dc=b], filter: '(cn=a)(cn=b)'}",
      '6:37: directories[0].groups.filter: found "(cn=a)(cn=b)", wanted an LDAP filter (RFC 4515) such as (objectClass=person): at its character 7, nothing more after the last closing parenthesis',
    ],
    [
      "users: {bases: [dc=b], aliases: ['a b']}",
      '5:38: directories[0].users.aliases[0]: found "a b", wanted an attr',
    ],
    ["schedule: 61 * * * *", '6:15: directories[0].schedule: found "61 * * * *", wanted 5 or 6 cron fields'],
    [
      "incrementalSchedule: on-demand",
      '6:26: directories[0].incrementalSchedule: found "on-demand", wanted 5 or 6 cron fields',
    ],
    [
      "schedule: on-demand\n    incrementalSchedule: '* * * * *'",
      "incremental runs remove nobody, and need full ones beside them; give schedule a time",
    ],
    ["timeZone: Mars", '6:15: directories[0].timeZone: found "Mars", wanted an IANA time zone'],
    [
      "limits: {removals: {percent: 101}}",
      "6:34: directories[0].limits.removals.percent: found 101, wanted 0 to 100",
    ],
  ])("of a directory: %s", (line, problem) => {
    const problems = problemsOf(directoryWith(line));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });

  test("a missing key is told at the item that misses it", () => {
    expect(problemsOf("directories:\n  - name: a\n    urls: [ldaps://a]\n    bind: anonymous\n")).toEqual([
      '2:5: directories[0]: the key "users" is missing, wanted which entries become users',
    ]);
  });
});

describe("unknown keys", () => {
  test.each([
    ["mfa: {issuerr: a}", '1:7: unknown key "issuerr" in mfa; did you mean "issuer"?'],
    ["retension: {}", '1:1: unknown key "retension"; did you mean "retention"?'],
    ["database: {pool_size: 5}", '1:12: unknown key "pool_size" in database; did you mean "poolSize"?'],
    ["lockout: {}", '1:1: unknown key "lockout"; it belongs at mfa.lockout'],
    ["keys: {colour: red}", '1:8: unknown key "colour" in keys; the keys here are folder'],
    [
      "a: &a {}\nkeys: {<<: *a}",
      '2:8: unknown key "<<" in keys; merge keys are not read; write the keys out',
    ],
  ])("%s", (text, problem) => {
    expect(problemsOf(text)).toContain(problem);
  });

  test("do not show their values", () => {
    expect(problemsOf(directoryWith("bind: {dn: cn=a, pasword: hunter2}")).join()).not.toContain("hunter2");
  });
});

describe("references to the environment", () => {
  test("are replaced anywhere in a text, once", () => {
    const { file } = parse("keys: {folder: '${A}/x/${B}'}", { A: "/${B}", B: "b" });
    expect(file?.keys.folder).toBe("/${B}/x/b");
  });

  test("are left alone after $$", () => {
    expect(parse("keys: {folder: '$${A}'}", { A: "a" }).file?.keys.folder).toBe("${A}");
  });

  test.each([
    ["keys: {folder: 'x/${HERE}'}", "1:16: keys.folder: the environment variable HERE is not set"],
    [
      "keys: {folder: '${constructor}'}",
      "1:16: keys.folder: the environment variable constructor is not set",
    ],
    ["keys: {folder: '${1}'}", '1:16: keys.folder: "${1}" is no reference; wanted ${NAME}, or $${'],
    ["keys: {folder: '${A'}", '1:16: keys.folder: "${A" is no reference'],
    ["database: {url: '${URL}'}", "1:17: database.url: the environment variable URL is not set"],
  ])("are a problem without their variable: %s", (text, problem) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });

  test("name their place in a list", () => {
    expect(problemsOf("mfa: {requireForDirectories: [a, '${G}']}")).toContain(
      "1:34: mfa.requireForDirectories[1]: the environment variable G is not set",
    );
  });

  test("do not bring in keys or types", () => {
    expect(parse("keys: {folder: '${A}'}", { A: "{a: 1}\nmfa: {}" }).file?.keys.folder).toBe(
      "{a: 1}\nmfa: {}",
    );
  });

  test("never show what they stand for", () => {
    const env = { SECRET: "hunter2" };
    for (const text of [
      "log: {level: '${SECRET}'}",
      "mfa: {issuer: '${SECRET}:'}",
      "http: {listen: '${SECRET}'}",
    ]) {
      const problems = problemsOf(text, env);
      expect(problems).toHaveLength(1);
      expect(problems[0]).not.toContain("hunter2");
    }
  });
});

describe("secrets", () => {
  test.each([
    [
      directoryWith("bind: {dn: cn=a, password: hunter2}"),
      "4:32: directories[0].bind.password: a password in plain",
    ],
    [
      directoryWith("bind: {dn: cn=a, password: 'x${P}'}"),
      "4:32: directories[0].bind.password: a password in plain",
    ],
    [
      directoryWith("bind: {dn: cn=a, password: '$${P}'}"),
      "4:32: directories[0].bind.password: a password in plain",
    ],
    [
      directoryWith("bind: {dn: cn=a, password: '${EMPTY}'}"),
      "4:32: directories[0].bind.password: found a value",
    ],
    [
      directoryWith("bind: {dn: cn=a}"),
      "4:5: directories[0].bind: no password; add passwordFile, or write `bind: anon",
    ],
    [
      directoryWith("bind: {dn: cn=a, password: '${P}', passwordFile: p}"),
      "4:40: directories[0].bind.passwordFile: password is given too",
    ],
    ["database: {url: 'postgres://u:hunter2@localhost/d'}", "1:17: database.url: a password in plain"],
    ["database: {url: 'postgres://u:x${P}@localhost/d'}", "1:17: database.url: a password in plain"],
    [
      "database: {url: 'postgres://u@localhost/d?password=hunter2'}",
      "1:17: database.url: a password in plain",
    ],
    [
      "database: {url: 'postgres://localhost/d', embedded: data}",
      "1:43: database.embedded: url is given too",
    ],
  ])("%s", (text, problem) => {
    const problems = problemsOf(text, { P: "hunter2", EMPTY: "" });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
    expect(problems[0]).not.toContain("hunter2");
  });

  test.each([
    directoryWith("bind: {dn: cn=a, password: '${P}'}"),
    "database: {url: '${URL}'}",
    "database: {url: 'postgres://u:${P}@localhost:5432/d?options=a@b'}",
    "database: {url: 'postgres://${P}@localhost/d'}",
    "database: {url: 'postgresql:///d?host=/run/postgresql'}",
  ])("may come from the environment: %s", (text) => {
    expect(problemsOf(text, { P: "hunter2", URL: "postgres://u:hunter2@localhost/d" })).toEqual([]);
  });

  test("a token in place of its digest is not shown", () => {
    const problems = problemsOf("http: {callers: [{name: a, tokenSha256: my-token, scopes: [login]}]}");
    expect(problems[0]).toMatch(
      /^1:41: http\.callers\[0\]\.tokenSha256: found a value that is not shown here, wanted 64/,
    );
    expect(problems[0]).not.toContain("my-token");
  });
});

describe("what values mean together", () => {
  test.each([
    [
      directoryWith("urls: [ldap://10.0.0.1]"),
      "3:12: directories[0].urls[0]: unencrypted, so the bind password",
    ],
    [directoryWith("urls: [ldap://127.evil.org]"), "3:12: directories[0].urls[0]: unencrypted"],
    [
      directoryWith("urls: [ldaps://h]", "tls: {startTls: true}"),
      "3:12: directories[0].urls[0]: ldaps:// is encrypted from the start",
    ],
    [
      directoryWith("users: {bases: [dc=b], disabled: {rule: attribute}}"),
      "5:28: directories[0].users.disabled: `rule: attribute` needs the key attribute",
    ],
    [
      directoryWith("users: {bases: [dc=b], disabled: {rule: never, attribute: a}}"),
      "5:52: directories[0].users.disabled.attribute: `rule: never` reads no attribute",
    ],
    [
      directoryWith("users: {bases: [dc=b], disabled: {rule: user-account-control, values: [a]}}"),
      "5:67: directories[0].users.disabled.values: only `rule: attribute` compares values",
    ],
    [
      `${directoryWith()}mfa: {requireForDirectories: [exmple]}`,
      "6:31: mfa.requireForDirectories[0]: no directory has this name; they are example",
    ],
    [
      `${directoryWith()}mfa: {requireForGroups: [vpn]}`,
      "6:25: mfa.requireForGroups: no directory has a groups",
    ],
    [
      "mfa: {lockout: {first: 1d}}",
      "1:24: mfa.lockout.first: found 1d, wanted at most lockout.maximum, which is 12h",
    ],
    ["http: {metricsListen: 127.0.0.1:8420}", "1:23: http.metricsListen: the same as http.listen"],
    ["keys: {folder: data/keys}", "1:16: keys.folder: inside the embedded database's folder"],
    ["keys: {folder: /etc/dirmfa/data}", "1:16: keys.folder: inside the embedded database's folder"],
  ])("%s", (text, problem) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(problem);
  });

  test("two directories of one name are refused", () => {
    const second = "  - {name: example, urls: [ldaps://h], bind: anonymous, users: {bases: [dc=b]}}\n";
    expect(problemsOf(directoryWith() + second)).toEqual([
      "6:12: directories[1].name: the same as directories[0].name; each needs its own",
    ]);
  });

  test("two callers of one name or one token are refused", () => {
    const caller = `  - {name: a, tokenSha256: '${zeros}', scopes: [login]}\n`;
    expect(problemsOf(`http:\n callers:\n${caller}${caller}`)).toEqual([
      "4:12: http.callers[1].name: the same as http.callers[0].name; each needs its own",
      "4:28: http.callers[1].tokenSha256: the same as http.callers[0].tokenSha256; each needs its own",
    ]);
  });

  test("a further token that another caller has is refused", () => {
    const further = `  - {name: b, tokenSha256: '${"1".repeat(64)}', furtherTokensSha256: ['${zeros}'], scopes: [login]}\n`;
    const caller = `  - {name: a, tokenSha256: '${zeros}', scopes: [login]}\n`;
    expect(problemsOf(`http:\n callers:\n${caller}${further}`)).toEqual([
      expect.stringContaining(
        "http.callers[1].furtherTokensSha256[0]: the same as http.callers[0].tokenSha256; each needs its own",
      ),
    ]);
  });

  test("the same data folder is fine when the database is elsewhere", () => {
    expect(problemsOf("database: {url: postgres://localhost/d}\nkeys: {folder: data/keys}")).toEqual([]);
  });

  test.each(["localhost", "127.0.0.1", "[::1]"])("%s may be reached unencrypted", (host) => {
    expect(problemsOf(directoryWith(`urls: ['ldap://${host}:389']`))).toEqual([]);
  });
});

describe("warnings", () => {
  test.each([
    ["log: {}", "1:1: http.callers: no caller, so no one can use the API"],
    ["log: {}", "1:1: directories: no directory, so no users"],
    ["http: {listen: 0.0.0.0:8420}", "1:16: http.listen: other machines can connect, and without http.tls"],
    ["database: {url: postgres://db.example.org/d}", "1:17: database.url: another machine without TLS"],
    [
      directoryWith("urls: [ldap://h]", "tls: {allowPlaintext: true}"),
      "3:12: directories[0].urls[0]: unencrypted, as tls.allowPlaintext says",
    ],
    [
      `${directoryWith("groups: {bases: ['ou=groups,dc=b']}")}mfa: {requireForGroups: ['cn=vpn,ou=other,dc=b']}`,
      "7:26: mfa.requireForGroups[0]: a DN outside every groups.bases, so this group is not read",
    ],
  ])("%s", (text, warning) => {
    expect(warningsOf(text)).toContainEqual(expect.stringContaining(warning));
  });
});

test("a required group is compared with the bases regardless of case and spaces", () => {
  const group = "mfa: {requireForGroups: ['CN=VPN, OU=Groups, DC=B', vpn]}";
  expect(warningsOf(directoryWith("groups: {bases: ['ou=groups,dc=b']}") + group).join()).not.toContain(
    "mfa",
  );
});

test("all problems are told at once, in the order of the file, each once", () => {
  const text = `database: {url: "postgres://u:hunter2@localhost/db", poolsize: 3}
http:
  listen: 8420
  callers:
    - { name: A, tokenSha256: token, scopes: [root], requestsPerSecond: 0 }
keys: { folder: "\${NOWHERE}" }
directories:
  - name: x
    urls: [ldap://10.0.0.1, "htp://x"]
    bind: {dn: cn=x}
    users: { bases: [people], filter: "(a=b" }
    schedule: "61 * * * *"
  - name: x
    url: ldap://localhost
    bind: anonymous
mfa:
  mode: always
  mode: never
  lockout: { first: 1d, failures: 2 }
  requireForDirectories: [y]
`;
  expect(problemsOf(text).map((problem) => problem.replace(/: .*/, ""))).toEqual([
    "1:17",
    "1:54",
    "3:11",
    "5:15",
    "5:31",
    "5:47",
    "5:73",
    "6:17",
    "9:12",
    "9:29",
    "10:5",
    "11:22",
    "11:39",
    "12:15",
    "13:5",
    "13:5",
    "13:11",
    "14:5",
    "18:3",
    "18:9",
    "19:21",
    "19:35",
    "20:27",
  ]);
});
