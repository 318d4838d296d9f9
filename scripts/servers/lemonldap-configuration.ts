// The configuration of the private LemonLDAP::NG: passwords checked in slapd, one protected application, one OIDC client, and the
// second factor of the example.

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Slapd } from "./slapd.ts";

export interface LemonldapSettings {
  /** Of https://auth.example.org, the portal, and https://wiki.example.org, the application. */
  port: number;
  slapd: Pick<Slapd, "url" | "suffix" | "syncDn" | "syncPassword">;
  /** dirmfa's, with the credentials in it. */
  verifyUrl: string;
  oidcClient: { id: string; secret: string; redirectUri: string };
  /** With which the portal signs ID tokens. */
  oidcKey: { privatePem: string; publicPem: string };
}

const example = resolve(import.meta.dirname, "../../examples/lemonldap-ng/second-factor.json");

export function lemonldapIni(folder: string): string {
  return `
[all]
logLevel = notice
[configuration]
type = File
dirName = ${folder}/conf
localStorage = Cache::FileCache
localStorageOptions = { 'namespace' => 'config', 'default_expires_in' => 600, 'directory_umask' => '007', 'cache_root' => '${folder}/cache', 'cache_depth' => 3 }
[portal]
staticPrefix = /static
templateDir = /usr/share/lemonldap-ng/portal/templates
languages = en
[handler]
status = 0
useRedirectOnError = 1
`;
}

export async function lemonldapConfiguration(folder: string, settings: LemonldapSettings): Promise<object> {
  const secondFactor = (await readFile(example, "utf8")).replace(
    /"rest2fVerifyUrl": "[^"]*"/,
    `"rest2fVerifyUrl": ${JSON.stringify(settings.verifyUrl)}`,
  );
  return {
    cfgNum: 1,
    cfgAuthor: "test",
    cfgDate: "1",
    cfgVersion: "2.16.1",
    domain: "example.org",
    portal: `https://auth.example.org:${settings.port}/`,
    cookieName: "lemonldap",
    securedCookie: 1,
    https: 1,
    port: settings.port,
    ...passwords(settings.slapd),
    ...storage(folder),
    ...application(settings.port),
    ...oidc(settings),
    ...JSON.parse(secondFactor),
  };
}

function passwords({ url, suffix, syncDn, syncPassword }: LemonldapSettings["slapd"]): object {
  return {
    authentication: "LDAP",
    userDB: "Same",
    passwordDB: "Null",
    registerDB: "Null",
    ldapServer: url,
    ldapBase: `ou=people,${suffix}`,
    managerDn: syncDn,
    managerPassword: syncPassword,
    AuthLDAPFilter: "(&(uid=$user)(objectClass=inetOrgPerson))",
    ldapExportedVars: { cn: "cn", uid: "uid", mail: "mail" },
    exportedVars: {},
    whatToTrace: "_whatToTrace",
    macros: { _whatToTrace: "lc($_user)" },
    groups: {},
    portalDisplayResetPassword: 0,
    portalDisplayRegister: 0,
  };
}

function storage(folder: string): object {
  const inFiles = (name: string) => ({
    Directory: join(folder, name),
    LockDirectory: join(folder, name, "lock"),
    generateModule: "Lemonldap::NG::Common::Apache::Session::Generate::SHA256",
  });
  return {
    globalStorage: "Apache::Session::File",
    globalStorageOptions: inFiles("sessions"),
    persistentStorage: "Apache::Session::File",
    persistentStorageOptions: inFiles("psessions"),
    localSessionStorage: "Cache::FileCache",
    localSessionStorageOptions: {
      namespace: "sessions",
      cache_root: join(folder, "cache"),
      cache_depth: 3,
      default_expires_in: 600,
      directory_umask: "007",
    },
  };
}

function application(port: number): object {
  return {
    locationRules: {
      "auth.example.org": { default: "accept" },
      "wiki.example.org": { default: "accept" },
    },
    exportedHeaders: { "wiki.example.org": { "Auth-User": "$uid" } },
    vhostOptions: { "wiki.example.org": { vhostPort: port, vhostHttps: 1 } },
  };
}

function oidc({ oidcClient, oidcKey }: LemonldapSettings): object {
  return {
    issuerDBOpenIDConnectActivation: 1,
    oidcServicePrivateKeySig: oidcKey.privatePem,
    oidcServicePublicKeySig: oidcKey.publicPem,
    oidcServiceKeyIdSig: "test",
    oidcServiceAllowAuthorizationCodeFlow: 1,
    oidcRPMetaDataExportedVars: { wiki: { name: "cn", preferred_username: "uid" } },
    oidcRPMetaDataOptions: {
      wiki: {
        oidcRPMetaDataOptionsClientID: oidcClient.id,
        oidcRPMetaDataOptionsClientSecret: oidcClient.secret,
        oidcRPMetaDataOptionsRedirectUris: oidcClient.redirectUri,
        oidcRPMetaDataOptionsIDTokenSignAlg: "RS256",
        oidcRPMetaDataOptionsIDTokenForceClaims: 1,
        oidcRPMetaDataOptionsBypassConsent: 1,
        oidcRPMetaDataOptionsUserIDAttr: "uid",
      },
    },
  };
}
