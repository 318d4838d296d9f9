// Turns what goes wrong on the way to a directory into AppErrors that an admin can act on: names, sockets, TLS, and bytes
// that are not LDAP. The only file that knows the error codes of Node's sockets and TLS.

import { AppError } from "../../errors.ts";

export function protocolError(message: string, fields: Record<string, string | number> = {}): AppError {
  return new AppError("directory-protocol-error", `the server sent what is not LDAP: ${message}`, {
    remedy:
      "Check that the URL's port is an LDAP port (389, or 636 with ldaps) and that nothing in between alters the traffic.",
    fields,
  });
}

export function connectionLost(url: string, reason: string | undefined, cause?: unknown): AppError {
  const why = reason === undefined ? "" : `: ${reason}`;
  return new AppError("directory-connection-lost", `the server closed the connection${why}`, {
    remedy:
      "Look into the server's log at this time; a restart, an idle timeout or a firewall in between are common.",
    cause,
    fields: { url },
  });
}

const certificateUntrusted: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "CERT_UNTRUSTED",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_CHAIN_TOO_LONG",
  "PATH_LENGTH_EXCEEDED",
  "INVALID_CA",
  "INVALID_PURPOSE",
]);
const notResolved: ReadonlySet<string> = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EAI_NODATA",
  "EAI_NONAME",
]);
const unreachable: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "ENETDOWN",
  "ETIMEDOUT",
  "EADDRNOTAVAIL",
  "EACCES",
  "EPERM",
]);
const lost: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

/** The error for what a socket or a TLS handshake failed with; an AppError is returned as it is. */
export function errorOfSocket(error: unknown, url: string, expectedName: string): AppError {
  if (error instanceof AppError) return error;
  const code = socketCodeOf(error);
  const fields = { url, socketCode: code };
  if (notResolved.has(code)) {
    return new AppError("directory-name-not-resolved", `the name of ${url} cannot be resolved (${code})`, {
      remedy: "Check the host name in urls and this machine's DNS.",
      cause: error,
      fields,
    });
  }
  if (unreachable.has(code)) {
    return new AppError("directory-unreachable", `${url} cannot be reached (${code})`, {
      remedy: "Check that the server runs, the port, and firewalls in between.",
      cause: error,
      fields,
    });
  }
  if (lost.has(code)) return connectionLost(url, code, error);
  return tlsErrorOf(code, error, url, expectedName) ?? connectionLost(url, code, error);
}

function tlsErrorOf(code: string, cause: unknown, url: string, expectedName: string): AppError | undefined {
  const options = (remedy: string) => ({ remedy, cause, fields: { url, tlsCode: code } });
  if (certificateUntrusted.has(code)) {
    return new AppError(
      "directory-tls-untrusted",
      `the certificate of ${url} is not signed by a trusted CA (${code})`,
      options("Put the PEM of the CA that signed it, with intermediates, in tls.caFile."),
    );
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return new AppError(
      "directory-tls-expired",
      `the certificate of ${url} has expired or is not valid yet`,
      options("Renew the server's certificate; if it is valid, check this machine's clock."),
    );
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" || code === "HOSTNAME_MISMATCH") {
    return new AppError(
      "directory-tls-wrong-name",
      `the certificate of ${url} does not name "${expectedName}"`,
      options("Use the name in the certificate in urls, or set tls.serverName to it."),
    );
  }
  if (
    code.startsWith("ERR_SSL_") ||
    code.startsWith("ERR_TLS_") ||
    code === "EPROTO" ||
    code.startsWith("CERT_")
  ) {
    return new AppError(
      "directory-tls-failed",
      `TLS with ${url} failed (${code})`,
      options("Check that the port speaks TLS (ldaps) or StartTLS as configured, and at least TLS 1.2."),
    );
  }
  return undefined;
}

function socketCodeOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  if ("code" in error && typeof error.code === "string") return error.code;
  // Several addresses were tried: each failed for its own reason, the first tells enough.
  if (error instanceof AggregateError && error.errors.length > 0) return socketCodeOf(error.errors[0]);
  return error.name;
}
