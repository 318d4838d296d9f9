// Encrypted connections to a real server: what is trusted, what is not, and that nothing falls back to less.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCertificateAuthority } from "../../../scripts/servers/certificates.ts";
import { directoryConfigFor, type Slapd, startSlapd } from "../../../scripts/servers/slapd.ts";
import type { DirectoryConfig, DirectoryTlsConfig } from "../../../src/config/config.ts";
import { connectSession, isLoopbackAddress } from "../../../src/directory/ldap/connect-session.ts";
import { result, startFakeLdapServer, tlv } from "../../support/fake-ldap-server.ts";
import { collect, failureOf } from "../listing.ts";

const authority = createCertificateAuthority();
const withNames = (...names: string[]) => ({ caPem: authority.certPem, ...authority.issue({ names }) });
let slapd: Slapd;
let named: Slapd;
let expired: Slapd;

beforeAll(async () => {
  const yesterday = new Date(Date.now() - 86_400_000);
  const lastYear = new Date(Date.now() - 365 * 86_400_000);
  const old = authority.issue({ names: ["127.0.0.1"], notBefore: lastYear, notAfter: yesterday });
  [slapd, named, expired] = await Promise.all([
    startSlapd({ tls: withNames("127.0.0.1") }),
    startSlapd({ tls: withNames("localhost", "ldap.example.org") }),
    startSlapd({ tls: { caPem: authority.certPem, ...old } }),
  ]);
});
afterAll(() => Promise.all([slapd?.stop(), named?.stop(), expired?.stop()]));

const plain: DirectoryTlsConfig = {
  startTls: false,
  caPem: undefined,
  serverName: undefined,
  allowPlaintext: false,
};

async function connect(server: Slapd, url: string, tls: Partial<DirectoryTlsConfig>) {
  const config = directoryConfigFor(server, { tls: { ...plain, caPem: authority.certPem, ...tls } });
  const session = await connectSession(url, config, new AbortController().signal);
  const { protection } = session;
  session.close();
  return protection;
}

/** The same server by TLS from the start and by StartTLS. */
const ways = [
  ["ldaps", (server: Slapd) => server.ldapsUrl, {}],
  ["StartTLS", (server: Slapd) => server.url, { startTls: true }],
] as const;

describe.each(ways)("%s", (_name, urlOf, way) => {
  test("trusts the configured CA, for an IP address in the certificate", async () => {
    const protection = await connect(slapd, urlOf(slapd), way);
    expect(protection?.protocol).toMatch(/^TLSv1\.[23]$/);
  });

  test("trusts the configured CA, for a name in the certificate", async () => {
    await expect(connect(named, urlOf(named).replace("127.0.0.1", "localhost"), way)).resolves.toBeDefined();
  });

  test("checks against tls.serverName where the URL has another name", async () => {
    await expect(
      connect(named, urlOf(named), { ...way, serverName: "ldap.example.org" }),
    ).resolves.toBeDefined();
    const failure = await failureOf(connect(slapd, urlOf(slapd), { ...way, serverName: "ldap.example.org" }));
    expect(failure.code).toBe("directory-tls-wrong-name");
  });

  test("refuses an IP address that the certificate does not name, even where it names localhost", async () => {
    const failure = await failureOf(connect(named, urlOf(named), way));
    expect(failure.code).toBe("directory-tls-wrong-name");
    expect(failure.message).toContain('"127.0.0.1"');
  });

  test("refuses a CA that is not trusted", async () => {
    const failure = await failureOf(connect(slapd, urlOf(slapd), { ...way, caPem: undefined }));
    expect(failure.code).toBe("directory-tls-untrusted");
    const other = createCertificateAuthority("another authority").certPem;
    expect((await failureOf(connect(slapd, urlOf(slapd), { ...way, caPem: other }))).code).toBe(
      "directory-tls-untrusted",
    );
  });

  test("refuses an expired certificate", async () => {
    expect((await failureOf(connect(expired, urlOf(expired), way))).code).toBe("directory-tls-expired");
  });

  test("does not try the next server after a certificate that is not trusted", async () => {
    const urls = [urlOf(expired), urlOf(slapd)];
    const config = directoryConfigFor(slapd, { urls, tls: { ...plain, caPem: authority.certPem, ...way } });
    expect((await failureOf(collect(config))).code).toBe("directory-tls-expired");
  });

  test("lists a directory", async () => {
    const config = directoryConfigFor(slapd, {
      urls: [urlOf(slapd)],
      tls: { ...plain, caPem: authority.certPem, ...way },
    });
    expect((await collect(config)).report.server.url).toBe(urlOf(slapd));
  });
});

describe("StartTLS with a server that cheats", () => {
  const starttls = { tls: { ...plain, startTls: true } } satisfies Partial<DirectoryConfig>;

  async function startTlsWith(
    answer: (id: number, socket: Socket) => Buffer | undefined,
    connectMs = 10_000,
  ) {
    const fake = await startFakeLdapServer(({ id, operation }, socket) =>
      operation === "extended" ? answer(id, socket) : result(id, 0, { operation: 0x61 }),
    );
    try {
      const timeouts = { connectMs, idleMs: 5_000, listingMs: 5_000 };
      const config = directoryConfigFor(slapd, { ...starttls, timeouts });
      const failure = await failureOf(connectSession(fake.url, config, new AbortController().signal));
      return { failure, binds: fake.requests.filter(({ operation }) => operation === "bind").length };
    } finally {
      await fake.stop();
    }
  }

  test("a refusal is not followed by an unencrypted bind", async () => {
    const { failure, binds } = await startTlsWith((id) =>
      result(id, 52, { operation: 0x78, diagnostic: "no" }),
    );
    expect([failure.code, binds]).toEqual(["directory-tls-failed", 0]);
  });

  test("unencrypted bytes behind the consent are a protocol error", async () => {
    const injected = (id: number) =>
      Buffer.concat([result(id, 0, { operation: 0x78 }), result(id + 1, 0, { operation: 0x61 })]);
    const { failure, binds } = await startTlsWith(injected);
    expect([failure.code, binds]).toEqual(["directory-protocol-error", 0]);
  });

  test("an unencrypted part of a message behind the consent is a protocol error", async () => {
    const { failure } = await startTlsWith((id) =>
      Buffer.concat([result(id, 0, { operation: 0x78 }), tlv(0x30).subarray(0, 1)]),
    );
    expect(failure.code).toBe("directory-protocol-error");
  });

  test("a handshake that never comes ends with the connect time", async () => {
    const { failure } = await startTlsWith((id) => result(id, 0, { operation: 0x78 }), 500);
    expect(failure).toMatchObject({ code: "directory-timeout", fields: { phase: "StartTLS" } });
  });

  test("no handshake but garbage is a TLS failure", async () => {
    const { failure } = await startTlsWith((id, socket) => {
      setTimeout(() => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), 50);
      return result(id, 0, { operation: 0x78 });
    });
    expect(failure.code).toBe("directory-tls-failed");
  });
});

test.each([
  ["ldaps:// on the port without TLS", () => slapd.url.replace("ldap:", "ldaps:"), {}, /usually 636/],
  ["ldap:// on the port with TLS", () => slapd.ldapsUrl.replace("ldaps:", "ldap:"), {}, /Use an ldaps/],
  [
    "StartTLS on the port with TLS",
    () => slapd.ldapsUrl.replace("ldaps:", "ldap:"),
    { startTls: true },
    /Use an ldaps/,
  ],
])("%s is told as such", async (_, urlOf, way, remedy) => {
  const failure = await failureOf(connect(slapd, urlOf(), { ...way, allowPlaintext: true }));
  expect(failure).toMatchObject({ code: "directory-tls-failed", remedy: expect.stringMatching(remedy) });
});

test("a port without TLS that waits, and one with TLS that answers with an alert, are told as such too", async () => {
  // Waits for more when it gets a TLS hello, and answers what is LDAP.
  const waiting = await startFakeLdapServer((request) => result(request.id, 0));
  const alerting = createServer((socket) => {
    socket.once("data", (hello) => {
      const alert = Buffer.from([0x15, 3, 1, 0, 2, 2, hello[0] === 0x16 ? 40 : 10]);
      socket.end(alert);
    });
  });
  alerting.listen(0, "127.0.0.1");
  await once(alerting, "listening");
  const address = alerting.address();
  const port = typeof address === "object" ? address?.port : undefined;
  try {
    const timeouts = { connectMs: 300, idleMs: 5_000, listingMs: 5_000 };
    const config = directoryConfigFor(slapd, { timeouts });
    for (const url of [waiting.url.replace("ldap:", "ldaps:"), `ldap://127.0.0.1:${port}`]) {
      const failure = await failureOf(connectSession(url, config, new AbortController().signal));
      expect(failure.code).toBe("directory-tls-failed");
    }
  } finally {
    await waiting.stop();
    alerting.close();
  }
});

test("a handshake that never comes on ldaps:// ends with the connect time", async () => {
  const silent = createServer(() => {});
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const address = silent.address();
  const port = typeof address === "object" ? address?.port : undefined;
  try {
    const config = directoryConfigFor(slapd, {
      timeouts: { connectMs: 300, idleMs: 5_000, listingMs: 5_000 },
    });
    const failure = await failureOf(
      connectSession(`ldaps://127.0.0.1:${port}`, config, new AbortController().signal),
    );
    expect(failure).toMatchObject({ code: "directory-timeout", fields: { phase: "TLS" } });
  } finally {
    silent.close();
  }
});

test("a connection can be aborted while it is being made", async () => {
  const config = directoryConfigFor(slapd);
  const fake = await startFakeLdapServer(() => undefined);
  try {
    const failure = await failureOf(connectSession(fake.url, config, AbortSignal.timeout(100)));
    expect(failure.code).toBe("aborted");
    expect((await failureOf(connectSession(fake.url, config, AbortSignal.abort()))).code).toBe("aborted");
  } finally {
    await fake.stop();
  }
});

test("only addresses of this machine count as loopback", () => {
  expect(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].map(isLoopbackAddress)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  expect(["10.0.0.1", "::", "1.127.0.0", "::ffff:10.0.0.1", "", "::1:1"].some(isLoopbackAddress)).toBe(false);
});
