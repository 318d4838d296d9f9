// Environment variables to configuration; README.md describes them. Refuses what would send passwords over a network in plain.

import { readFileSync } from "node:fs";
import { type Applications, readApplications } from "./applications.ts";
import type { LdapConfiguration } from "./password.ts";

export interface Configuration {
  host: string;
  port: number;
  /** Where browsers reach this service. */
  publicUrl: URL;
  /** The applications behind a reverse proxy that asks here. */
  applications: Applications;
  dirmfa: { baseUrl: string; token: string; directory: string | undefined };
  ldap: LdapConfiguration;
}

/** Throws an Error that names the variable to set. */
export function readConfiguration(env: NodeJS.ProcessEnv): Configuration {
  const get = (name: string) => {
    const value = env[name];
    if (value === undefined || value === "") throw new Error(`Set ${name}; README.md has an example.`);
    return value;
  };
  const contentOf = (name: string) => readFileSync(get(name), "utf8").trim();

  const listen = new URL(`http://${env.LISTEN ?? "127.0.0.1:8421"}`);
  const publicUrl = new URL(env.PUBLIC_URL ?? listen.href);
  const ldapUrl = new URL(get("LDAP_URL"));
  requireSecrecy("PUBLIC_URL", publicUrl, "https:");
  requireSecrecy("LDAP_URL", ldapUrl, "ldaps:");
  return {
    host: listen.hostname.replace(/^\[|\]$/g, ""), // of IPv6
    port: Number(listen.port || 80), // which URL leaves out
    publicUrl,
    applications: readApplications(publicUrl, {
      applications: env.APPLICATIONS ?? "",
      cookieDomain: env.COOKIE_DOMAIN,
    }),
    dirmfa: {
      baseUrl: get("DIRMFA_URL"),
      token: contentOf("DIRMFA_TOKEN_FILE"),
      directory: env.DIRMFA_DIRECTORY,
    },
    ldap: {
      url: get("LDAP_URL"),
      bindDn: get("LDAP_BIND_DN"),
      bindPassword: contentOf("LDAP_BIND_PASSWORD_FILE"),
      base: get("LDAP_BASE"),
      usernameAttribute: env.LDAP_USERNAME_ATTRIBUTE ?? "uid",
    },
  };
}

function requireSecrecy(name: string, url: URL, protocol: string): void {
  if (url.protocol === protocol || ["127.0.0.1", "[::1]", "localhost"].includes(url.hostname)) return;
  throw new Error(
    `${name} must begin with ${protocol}// unless it stays on this machine: passwords go over it.`,
  );
}
