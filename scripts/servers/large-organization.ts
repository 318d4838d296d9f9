// Generates large, plain organizations as LDIF, streamed to a file for slapadd. The same numbers give the same text.

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { domainOf, ldifEntry } from "./ldif.ts";
import { asciiOf, latinFamilyNames, latinGivenNames, titles } from "./names.ts";

const departments = ["Engineering", "Sales", "Finance", "Legal", "Human Resources", "Logistics"];

export interface LargeOrganization {
  /** File to write; replaced if it exists. */
  path: string;
  users: number;
  /** Each user is in one of these groups; default none. */
  groups?: number;
  /** Adds the group `all`, which lists every user. */
  groupOfAll?: boolean;
  suffix?: string;
}

/** The entry of the `number`th user of a large organization, about 600 bytes; `uid` is `u` and seven digits. */
export function largeOrganizationEntry(number: number, suffix = "dc=example,dc=org"): string {
  const uid = largeOrganizationUid(number);
  const givenName = latinGivenNames[number % latinGivenNames.length] ?? "";
  const sn = latinFamilyNames[Math.floor(number / latinGivenNames.length) % latinFamilyNames.length] ?? "";
  const title = titles[number % titles.length] ?? "";
  return ldifEntry(`uid=${uid},ou=people,${suffix}`, [
    ["objectClass", "inetOrgPerson"],
    ["cn", `${givenName} ${sn} ${number}`],
    ["sn", sn],
    ["givenName", givenName],
    ["uid", uid],
    ["mail", `${uid}.${asciiOf(sn)}@${domainOf(suffix)}`],
    ["telephoneNumber", `+41 44 ${String(5_000_000 + number)}`],
    ["title", title],
    ["ou", departments[number % departments.length] ?? ""],
    ["description", `${title}, desk ${number % 997}, joined ${1990 + (number % 35)}; contact over reception`],
    ["displayName", `${sn}, ${givenName}`],
    ["preferredLanguage", "de-CH"],
    ["street", `Seestrasse ${number % 400}`],
    ["postalAddress", `Seestrasse ${number % 400}$8002 Zurich$Switzerland`],
    ["l", "Zurich"],
    ["roomNumber", `${number % 9}.${number % 97}`],
    ["employeeType", "permanent"],
    ["employeeNumber", String(100_000 + number)],
  ]);
}

export function largeOrganizationUid(number: number): string {
  return `u${String(number).padStart(7, "0")}`;
}

/** Writes users 0 to `users - 1` and the groups. Memory stays flat: text goes out in chunks of about a megabyte. */
export async function generateLargeOrganization(options: LargeOrganization): Promise<void> {
  const suffix = options.suffix ?? "dc=example,dc=org";
  const file = createWriteStream(options.path);
  let chunk = "";
  for (let number = 0; number < options.users; number += 1) {
    chunk += largeOrganizationEntry(number, suffix);
    if (chunk.length < 1_000_000) continue;
    if (!file.write(chunk)) await once(file, "drain");
    chunk = "";
  }
  file.write(chunk);
  const groups = options.groups ?? 0;
  for (let group = 0; group < groups; group += 1) {
    file.write(groupEntry(`group${group}`, { first: group, step: groups, users: options.users, suffix }));
  }
  if (options.groupOfAll) file.write(groupEntry("all", { first: 0, step: 1, users: options.users, suffix }));
  file.end();
  await finished(file);
}

function groupEntry(
  cn: string,
  listed: { first: number; step: number; users: number; suffix: string },
): string {
  const members: [string, string][] = [];
  for (let number = listed.first; number < listed.users; number += listed.step) {
    members.push(["member", `uid=${largeOrganizationUid(number)},ou=people,${listed.suffix}`]);
  }
  const attributes: [string, string][] = [["objectClass", "groupOfNames"], ["cn", cn], ...members];
  return ldifEntry(`cn=${cn},ou=groups,${listed.suffix}`, attributes);
}
