// Opens a session: TCP, TLS or StartTLS with the certificate always checked, and bind, all under one deadline. Never falls back
// to less security than configured.

import { connect as connectTcp, isIP, type Socket } from "node:net";
import { checkServerIdentity, connect as connectTls, getCACertificates, type TLSSocket } from "node:tls";
import type { DirectoryConfig } from "../../config/config.ts";
import { AppError, type ErrorCode } from "../../errors.ts";
import { parseServerUrl, type ServerAddress } from "../../ldap-text/server-url.ts";
import { errorOfSocket } from "./connection-errors.ts";
import { LdapSession } from "./ldap-session.ts";
import { portSpeaks } from "./probe-port.ts";
import { errorOfBindResult, passwordIsExpired } from "./result-errors.ts";

/** A bound session with one server. Rejects with an AppError; nothing is left open then. */
export async function connectSession(
  url: string,
  directory: DirectoryConfig,
  signal: AbortSignal,
): Promise<LdapSession> {
  const address = serverAddressOf(url);
  requireBindIsNotEmpty(directory);
  const attempt: Attempt = {
    phase: "connecting",
    socket: undefined,
    session: undefined,
    stoppedBy: undefined,
  };
  const deadline = setTimeout(
    () => stop(attempt, connectTimeout(url, attempt.phase)),
    directory.timeouts.connectMs,
  );
  const onAbort = () => stop(attempt, abortedBy(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal.aborted) throw abortedBy(signal);
    return await openSession(address, directory, attempt);
  } catch (error) {
    const cause = attempt.stoppedBy ?? errorOfSocket(error, url, expectedNameOf(address, directory));
    attempt.session?.close(cause);
    attempt.socket?.destroy();
    throw (signal.aborted ? undefined : await wrongPort(cause, address, directory)) ?? cause;
  } finally {
    clearTimeout(deadline);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Connects, calls `use`, and closes; a signal that is aborted meanwhile closes as well, and fails what `use` has under way. */
export async function withSession<Result>(
  url: string,
  directory: DirectoryConfig,
  signal: AbortSignal,
  use: (session: LdapSession) => Promise<Result>,
): Promise<Result> {
  const session = await connectSession(url, directory, signal);
  const onAbort = () => session.close(abortedBy(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await use(session);
  } finally {
    signal.removeEventListener("abort", onAbort);
    session.close();
  }
}

// What a wrong port looks like.
const maybeWrongPort: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "directory-connection-lost",
  "directory-timeout",
  "directory-protocol-error",
]);
// A server that is there answers its first message in far less.
const probeMs = 2000;

/** The error when the port speaks TLS and the URL says ldap://, or the other way round. Any other failure is what it is. */
async function wrongPort(
  cause: AppError,
  address: ServerAddress,
  directory: DirectoryConfig,
): Promise<AppError | undefined> {
  if (!maybeWrongPort.has(cause.code)) return undefined;
  const { url, secure } = address;
  const speaks = await portSpeaks(
    secure ? "LDAP" : "TLS",
    address,
    Math.min(probeMs, directory.timeouts.connectMs),
  );
  if (!speaks) return undefined;
  const message = secure
    ? `${url} is a port for LDAP without TLS`
    : `${url} is a port for LDAP over TLS, and the URL says ldap://`;
  const remedy = secure
    ? "Use the port for ldaps:// (usually 636), or an ldap:// URL with tls.startTls."
    : "Use an ldaps:// URL for this port, or the port for ldap:// (usually 389) with tls.startTls.";
  return new AppError("directory-tls-failed", message, { remedy, cause, fields: { url } });
}

interface Attempt {
  phase: "connecting" | "TLS" | "StartTLS" | "bind";
  socket: Socket | undefined;
  session: LdapSession | undefined;
  stoppedBy: AppError | undefined;
}

function stop(attempt: Attempt, reason: AppError): void {
  attempt.stoppedBy ??= reason;
  attempt.session?.close(reason);
  attempt.socket?.destroy(reason);
}

async function openSession(
  address: ServerAddress,
  directory: DirectoryConfig,
  attempt: Attempt,
): Promise<LdapSession> {
  const { tls, limits, timeouts } = directory;
  const upgrade = (socket: Socket) => upgradeToTls(socket, address, directory, attempt);
  const plain = await openSocket(address, directory, attempt);
  requireSecrecy(plain, address, directory);
  attempt.phase = address.secure ? "TLS" : "StartTLS";
  const socket = address.secure ? await upgrade(plain) : plain;
  const session = new LdapSession(socket, {
    url: address.url,
    expectedName: expectedNameOf(address, directory),
    idleMs: timeouts.idleMs,
    messageBytes: limits.messageBytes,
  });
  attempt.session = session;
  if (tls.startTls && !address.secure) await startTls(session, upgrade);
  attempt.phase = "bind";
  await bind(session, directory);
  return session;
}

function openSocket(address: ServerAddress, directory: DirectoryConfig, attempt: Attempt): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({
      host: address.host,
      port: address.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000, // below the idle limits of usual firewalls (5 min and up)
      // Node gives each address of a name 250 ms by default, less than a slow line needs; half of the deadline each.
      autoSelectFamilyAttemptTimeout: Math.max(250, Math.floor(directory.timeouts.connectMs / 2)),
    });
    attempt.socket = socket;
    if (attempt.stoppedBy !== undefined) socket.destroy(attempt.stoppedBy);
    socket.once("error", reject);
    socket.once("close", () => reject(attempt.stoppedBy ?? new Error("closed before it was connected")));
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => {}); // the session listens later; an error without a listener would end the process
      resolve(socket);
    });
  });
}

// The name is checked here and not by Node's defaults, which take "localhost" for an upgraded socket without a host.
function upgradeToTls(
  socket: Socket,
  address: ServerAddress,
  directory: DirectoryConfig,
  attempt: Attempt,
): Promise<TLSSocket> {
  const name = expectedNameOf(address, directory);
  return new Promise((resolve, reject) => {
    const secured = connectTls({
      socket,
      // SNI carries names only (RFC 6066, 3).
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ca: directory.tls.caPem ?? systemAuthorities(),
      checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
    });
    attempt.socket = secured;
    secured.once("error", reject);
    secured.once("close", () => reject(attempt.stoppedBy ?? new Error("closed before TLS was set up")));
    secured.once("secureConnect", () => {
      secured.off("error", reject);
      resolve(secured);
    });
  });
}

// The CAs that the administrator of this machine trusts, which Node does not use by itself; Node's own where it has none.
function systemAuthorities(): string[] {
  const system = getCACertificates("system");
  return system.length === 0
    ? getCACertificates("default")
    : [...new Set([...system, ...getCACertificates("extra")])];
}

async function startTls(session: LdapSession, upgrade: (socket: Socket) => Promise<Socket>): Promise<void> {
  const result = await session.startTls(upgrade);
  if (result.code === 0) return;
  const said = result.diagnostic === "" ? `result code ${result.code}` : result.diagnostic;
  throw new AppError("directory-tls-failed", `the server refused StartTLS (${said})`, {
    remedy: "Set up TLS on the server, or use its ldaps:// port.",
    fields: { url: session.url, resultCode: result.code },
  });
}

async function bind(session: LdapSession, directory: DirectoryConfig): Promise<void> {
  if (directory.bind === undefined) return;
  const { dn, passwordSecret } = directory.bind;
  const result = await session.bind(dn, passwordSecret);
  const asked = { what: "the bind", url: session.url, bindDn: dn };
  if (result.code !== 0) throw errorOfBindResult(result, asked);
  // A server may let a user with an expired password bind and then show it nothing.
  if (passwordIsExpired(result)) throw errorOfBindResult({ ...result, code: 49 }, asked);
}

// With an empty name or password a server may answer "success" to a bind that is anonymous (RFC 4513, 5.1.2).
function requireBindIsNotEmpty(directory: DirectoryConfig): void {
  if (directory.bind === undefined) return;
  if (directory.bind.dn.trim() !== "" && directory.bind.passwordSecret !== "") return;
  throw new AppError("invalid-config", "the bind DN or its password is empty, which would bind anonymously", {
    remedy: "Set bind.dn and bind.passwordFile, or say bind: anonymous.",
  });
}

function serverAddressOf(url: string): ServerAddress {
  const address = parseServerUrl(url);
  if (address) return address;
  throw new AppError("invalid-config", `"${url}" is not a URL of an LDAP server`, {
    remedy: "Write ldaps://host:636 or ldap://host:389.",
  });
}

function requireSecrecy(socket: Socket, address: ServerAddress, directory: DirectoryConfig): void {
  if (
    address.secure ||
    directory.tls.startTls ||
    directory.tls.allowPlaintext ||
    directory.bind === undefined
  )
    return;
  if (isLoopbackAddress(socket.remoteAddress ?? "")) return;
  throw new AppError("invalid-config", `the bind password would go to ${address.url} unencrypted`, {
    remedy: "Use an ldaps:// URL or tls.startTls; tls.allowPlaintext accepts the risk.",
    fields: { url: address.url },
  });
}

/** True for 127.0.0.0/8 and ::1, mapped forms included: what is sent there does not leave this machine. */
export function isLoopbackAddress(ip: string): boolean {
  return ip === "::1" || /^(::ffff:)?127\./i.test(ip);
}

function expectedNameOf(address: ServerAddress, directory: DirectoryConfig): string {
  return directory.tls.serverName ?? address.host;
}

function connectTimeout(url: string, phase: Attempt["phase"]): AppError {
  return new AppError("directory-timeout", `${url} did not answer in time (${phase})`, {
    remedy:
      "Check the server's load, the port, and firewalls that drop packets; timeouts.connect covers TCP, TLS and bind.",
    fields: { url, phase },
  });
}

/** The AppError that a signal was aborted with, or a plain one. */
export function abortedBy(signal: AbortSignal): AppError {
  return signal.reason instanceof AppError
    ? signal.reason
    : new AppError("aborted", "reading the directory was stopped");
}
