// The certificate of the HTTP listener: whether it can be used at all, and how long it still can.

import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import type { HttpTlsConfig } from "../config/config.ts";
import { AppError } from "../errors.ts";

export function tlsOptionsOf(tls: HttpTlsConfig) {
  return {
    cert: tls.certPem,
    key: tls.keyPemSecret,
    minVersion: "TLSv1.2" as const,
    ...(tls.clientCaPem === undefined
      ? {}
      : { ca: tls.clientCaPem, requestCert: true, rejectUnauthorized: true }),
  };
}

/** Throws AppError `invalid-config` for files of which OpenSSL makes no server. Nothing of the key is in the message. */
export function requireUsableCertificate(tls: HttpTlsConfig, key = "http.tls"): void {
  try {
    createSecureContext(tlsOptionsOf(tls));
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "no reason given";
    const isOther = code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH";
    throw new AppError(
      "invalid-config",
      isOther
        ? `The private key in ${key}.keyFile is not the key of the certificate in ${key}.certFile.`
        : `The files of ${key} cannot be used: ${code}.`,
      {
        remedy: "Give the server's certificate, followed by the intermediate ones, and its own private key.",
        cause,
      },
    );
  }
}

/** Until when the server's own certificate is valid. */
export function certificateEnd(tls: HttpTlsConfig): Date {
  return new Date(new X509Certificate(tls.certPem).validTo);
}
