// The text of slapd.conf and of the entries that every private server has. Reads where OpenLDAP lies, starts nothing.

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Overlay, SlapdOptions } from "./slapd.ts";

const baseSchemas = ["core", "cosine", "nis", "inetorgperson", "dyngroup"];

export interface SlapdConfiguration {
  folder: string;
  suffix: string;
  adminDn: string;
  adminPassword: string;
  syncDn: string;
  options: SlapdOptions;
}

const overlayLines: Partial<Record<Overlay, string[]>> = {
  dynlist: ["dynlist-attrset groupOfURLs memberURL member"], // a group whose URL says who its members are
};

export function slapdConfiguration({
  folder,
  suffix,
  adminDn,
  adminPassword,
  syncDn,
  options,
}: SlapdConfiguration): string {
  const overlays = options.overlays ?? [];
  const limits = options.limits ?? [`dn.exact="${syncDn}" size=unlimited time=unlimited`];
  const access = options.access ?? [
    "to attrs=userPassword by anonymous auth by * none",
    `to * by dn.exact="${syncDn}" read by anonymous auth by * none`,
  ];
  const modules = firstFolder(["/usr/lib/ldap", "/usr/lib/openldap", "/usr/lib64/openldap"]);
  const schemas = firstFolder(["/etc/ldap/schema", "/etc/openldap/schema"]);
  return [
    ...baseSchemas.map((name) => `include ${schemas}/${name}.schema`),
    `modulepath ${modules}`,
    "moduleload back_mdb",
    ...overlays.map((overlay) => `moduleload ${overlay}`),
    `pidfile ${join(folder, "slapd.pid")}`,
    "tool-threads 2",
    ...(options.tls ? tlsLines(folder) : []),
    ...(options.globalLines ?? []),
    "database mdb",
    `directory ${join(folder, "data")}`,
    "maxsize 17179869184", // 16 GiB of address space, not of disk: a million entries take about 3 GiB
    "dbnosync", // survives a killed process, not a power cut; a test needs no more
    `suffix "${suffix}"`,
    `rootdn "${adminDn}"`,
    `rootpw "${adminPassword}"`,
    "index objectClass,uid,entryUUID,entryCSN eq",
    ...limits.map((line) => `limits ${line}`),
    ...access.map((line) => `access ${line}`),
    ...(options.databaseLines ?? []),
    ...overlays.flatMap((overlay) => [`overlay ${overlay}`, ...(overlayLines[overlay] ?? [])]),
    "",
  ].join("\n");
}

function tlsLines(folder: string): string[] {
  return [
    `TLSCACertificateFile ${join(folder, "ca.pem")}`,
    `TLSCertificateFile ${join(folder, "server.pem")}`,
    `TLSCertificateKeyFile ${join(folder, "server.key")}`,
  ];
}

function firstFolder(candidates: string[]): string {
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined)
    throw new Error(`OpenLDAP is not installed: none of ${candidates.join(", ")} exists`);
  return found;
}

/** The suffix, ou=people, ou=groups, ou=services and the sync account. */
export function baseEntries(suffix: string, syncDn: string, syncPassword: string): string {
  const [type = "", value = ""] = (suffix.split(",")[0] ?? "").split("=");
  const classes = { dc: ["dcObject", "organization"], o: ["organization"], ou: ["organizationalUnit"] }[type];
  if (classes === undefined) throw new Error(`a suffix starts with dc=, o= or ou=, not ${suffix}`);
  const entries = [
    [
      `dn: ${suffix}`,
      ...classes.map((name) => `objectClass: ${name}`),
      `${type}: ${value}`,
      ...(type === "dc" ? [`o: ${value}`] : []),
    ],
    ...["people", "groups", "services"].map((name) => [
      `dn: ou=${name},${suffix}`,
      "objectClass: organizationalUnit",
      `ou: ${name}`,
    ]),
    [
      `dn: ${syncDn}`,
      "objectClass: organizationalRole",
      "objectClass: simpleSecurityObject",
      "cn: dirmfa",
      `userPassword: ${syncPassword}`,
    ],
  ];
  return `${entries.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}
