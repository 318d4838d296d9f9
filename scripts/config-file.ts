// Writes the configuration that the demo and the bench run dirmfa with: one private OpenLDAP, one database.

import { writeFile } from "node:fs/promises";
import { stringify } from "yaml";
import type { Slapd } from "./servers/slapd.ts";

export interface ConfigFile {
  path: string;
  slapd: Slapd;
  /** Either a folder, or a file that holds a PostgreSQL URL. */
  database: { embedded: string } | { urlFile: string };
  keysFolder: string;
  directoryName: string;
  /** Cron expression or `on-demand`. */
  schedule: string;
  http?: object;
  mfa?: object;
  console?: object;
}

export async function writeConfigFile(file: ConfigFile): Promise<void> {
  const { slapd } = file;
  const config = {
    database: file.database,
    ...(file.http === undefined ? {} : { http: file.http }),
    ...(file.console === undefined ? {} : { console: file.console }),
    keys: { folder: file.keysFolder },
    directories: [
      {
        name: file.directoryName,
        kind: "openldap",
        urls: [slapd.url],
        bind: { dn: slapd.syncDn, passwordFile: slapd.syncPasswordFile },
        users: { bases: [`ou=people,${slapd.suffix}`] },
        groups: { bases: [`ou=groups,${slapd.suffix}`] },
        schedule: file.schedule,
        jitter: "0s",
      },
    ],
    ...(file.mfa === undefined ? {} : { mfa: file.mfa }),
  };
  await writeFile(file.path, stringify(config), { mode: 0o600 });
}
