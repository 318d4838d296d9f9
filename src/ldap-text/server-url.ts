// The URL of a directory server, read by one grammar: the configuration refuses what the session could not connect to.

import { isIP } from "node:net";

export interface ServerAddress {
  /** As it was written. */
  url: string;
  /** TLS from the start (ldaps). */
  secure: boolean;
  /** A name or an address; IPv6 without brackets. */
  host: string;
  port: number;
}

/** `ldap://HOST[:PORT]` or `ldaps://HOST[:PORT]`, with nothing after it and no credentials in it; undefined for any other text. */
export function parseServerUrl(url: string): ServerAddress | undefined {
  const [, scheme, host, port] =
    /^(ldaps?):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?\/?$/.exec(url) ?? [];
  if (scheme === undefined || host === undefined) return undefined;
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65_535)) return undefined;
  const bare = host.replace(/^\[|\]$/g, "");
  if (host.startsWith("[") && isIP(bare) !== 6) return undefined;
  const secure = scheme === "ldaps";
  return { url, secure, host: bare, port: port === undefined ? (secure ? 636 : 389) : Number(port) };
}
