// Generates organizations as LDIF: a small believable one with everything that makes real directories awkward, and large
// plain ones, streamed to a file. The same seed gives the same text, entryUUIDs included. No network, no server.

import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { ldifEntry } from "./ldif.ts";
import { latinFamilyNames, latinGivenNames, otherScripts } from "./names.ts";
import type { Overlay } from "./slapd.ts";

export interface Person {
  dn: string;
  /** Undefined for the one entry that has none. */
  uid: string | undefined;
  cn: string;
  entryUuid: string;
  mails: string[];
  /** The innermost ou, such as "Platform". */
  department: string;
  locked: boolean;
}

export interface Organization {
  /** Departments, people and groups, in an order in which they can be added. */
  ldif: string;
  people: Person[];
  groups: { dn: string; cn: string }[];
}

/** The overlays a server needs for this organization: its locked people carry ppolicy's pwdAccountLockedTime. */
export const organizationOverlays: Overlay[] = ["ppolicy"];

const departments = [
  { path: ["Engineering"], weight: 20 },
  { path: ["Platform", "Engineering"], weight: 30 },
  { path: ["Applications", "Engineering"], weight: 35 },
  { path: ['Research, Tests + "Trials"'], weight: 15 },
  { path: ["Sales"], weight: 30 },
  { path: ["Finance"], weight: 15 },
  { path: ["Legal"], weight: 8 },
  { path: ["Human Resources"], weight: 12 },
  { path: ["Verwaltung Zürich"], weight: 15 },
] as const;

/** About 200 people in 9 departments and 15 groups. What is awkward in it stands in `awkwardPeople` and `groupsOf`. */
export function generateOrganization(
  options: { suffix?: string; seed?: number; people?: number } = {},
): Organization {
  const suffix = options.suffix ?? "dc=example,dc=org";
  const random = randomFrom(options.seed ?? 1);
  const places = departments.map(({ path, weight }) => ({
    dn: [...path.map((ou) => rdn("ou", ou)), "ou=people", suffix].join(","),
    ou: path[0],
    weight,
  }));
  const people = awkwardPeople(random, suffix, (ou) => places.find((place) => place.ou === ou)?.dn ?? suffix);
  const taken = new Set(people.map((person) => person.uid));
  for (const [givenName, sn, uid] of otherScripts) {
    taken.add(uid);
    people.push(personIn(pickWeighted(random, places), { random, suffix, givenName, sn, uid }));
  }
  while (people.length < (options.people ?? 200)) {
    const givenName = pick(random, latinGivenNames);
    const sn = pick(random, latinFamilyNames);
    const uid = freeUid(givenName, sn, taken);
    people.push(personIn(pickWeighted(random, places), { random, suffix, givenName, sn, uid }));
  }
  const groups = groupsOf(random, suffix, people);
  const ldif = [
    ...places.map(({ dn, ou }) =>
      ldifEntry(dn, [
        ["objectClass", "organizationalUnit"],
        ["ou", ou],
      ]),
    ),
    ...people.map((person) => ldifEntry(person.dn, person.attributes)),
    ...groups.map((group) => ldifEntry(group.dn, group.attributes)),
  ].join("");
  return {
    ldif,
    people: people.map(({ attributes: _, ...person }) => person),
    groups: groups.map(({ dn, cn }) => ({ dn, cn })),
  };
}

type Attribute = readonly [string, string | Buffer];

interface DraftPerson extends Person {
  attributes: Attribute[];
}

interface PersonFacts {
  random: Random;
  suffix: string;
  givenName: string;
  sn: string;
  uid: string | undefined;
  /** Default: the uid's own address. */
  mails?: string[];
  /** Default: uid=UID. */
  rdn?: string;
  /** Default: given name and family name. */
  cn?: string;
  extra?: Attribute[];
  locked?: boolean;
}

function personIn(place: { dn: string; ou: string }, facts: PersonFacts): DraftPerson {
  const { random, suffix, givenName, sn, uid } = facts;
  const cn = facts.cn ?? `${givenName} ${sn}`;
  const mails = facts.mails ?? [`${uid}@${domainOf(suffix)}`];
  const entryUuid = uuidFrom(random);
  const attributes: Attribute[] = [
    ["objectClass", "inetOrgPerson"],
    ["cn", cn],
    ["sn", sn],
    ["givenName", givenName],
    ...(uid === undefined ? [] : [["uid", uid] as const]),
    ...mails.map((mail) => ["mail", mail] as const),
    ["ou", place.ou],
    ["title", pick(random, titles)],
    ["telephoneNumber", `+41 44 555 ${String(Math.floor(random() * 9000) + 1000)}`],
    ...(facts.extra ?? []),
    // Locked by an administrator, for good: the value that ppolicy (draft-behera-ldap-password-policy, 5.3.3) gives it.
    ...(facts.locked === true ? [["pwdAccountLockedTime", "000001010000Z"] as const] : []),
    ["entryUUID", entryUuid],
  ];
  return {
    dn: `${facts.rdn ?? rdn("uid", uid ?? cn)},${place.dn}`,
    uid,
    cn,
    entryUuid,
    mails,
    department: place.ou,
    locked: facts.locked === true,
    attributes,
  };
}

const titles = [
  "Engineer",
  "Senior Engineer",
  "Analyst",
  "Team Lead",
  "Clerk",
  "Counsel",
  "Account Manager",
  "Intern",
];

/** One of each kind of entry that an import can stumble over. */
function awkwardPeople(random: Random, suffix: string, dnOf: (ou: string) => string): DraftPerson[] {
  const add = (ou: string, facts: Omit<PersonFacts, "random" | "suffix">) =>
    personIn({ dn: dnOf(ou), ou }, { random, suffix, ...facts });
  const named = (ou: string, cn: string, givenName: string, sn: string, uid: string) =>
    add(ou, { givenName, sn, uid, cn, rdn: rdn("cn", cn) });
  return [
    named("Sales", "Müller, Jörg", "Jörg", "Müller", "jmueller"),
    named("Sales", 'Sam "Sammy" Reed', "Sam", "Reed", "sreed"),
    named("Engineering", "C++ Build Account", "C++", "Build", "cpp-build"),
    named("Engineering", "back\\slash, trailing ", "Back", "Slash", "bslash"),
    named("Engineering", "#1 Support", "Number", "One", "support1"),
    named("Legal", " Leading Space", "Leading", "Space", "lspace"),
    named("Legal", "a=b;c<d>e", "Equals", "Semicolon", "equals"),
    add("Finance", { givenName: "Grace", sn: "Hopper", uid: "ghopper", rdn: "cn=Grace Hopper+uid=ghopper" }),
    // The same username in two places: the import must not choose between them.
    add("Finance", { givenName: "Robin", sn: "Hall", uid: "rhall" }),
    add("Legal", { givenName: "Robin", sn: "Hall", uid: "RHall" }),
    add("Human Resources", {
      givenName: "No",
      sn: "Username",
      uid: undefined,
      mails: [],
      rdn: "cn=No Username",
    }),
    add("Human Resources", { givenName: "No", sn: "Mail", uid: "nomail", mails: [] }),
    add("Human Resources", {
      givenName: "Many",
      sn: "Mails",
      uid: "mmails",
      mails: ["zz@example.net", "mmails@example.org", "many.mails@example.com"],
    }),
    // Bytes that are no UTF-8, as every photo has them.
    add("Sales", {
      givenName: "Pho",
      sn: "Tographed",
      uid: "photo",
      extra: [
        [
          "jpegPhoto",
          Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0x00, 0x10, 0x4a, 0x46, 0x49, 0x46, 0x00, 0xc3, 0x28]),
        ],
      ],
    }),
    add("Verwaltung Zürich", {
      givenName: "Zoë",
      sn: "Ünal",
      uid: "zoë.ünal",
      mails: ["zoe.uenal@example.org"],
    }),
    ...["Former", "Suspended", "Onleave"].map((givenName) =>
      add("Finance", { givenName, sn: "Locked", uid: `${givenName.toLowerCase()}-locked`, locked: true }),
    ),
  ];
}

interface DraftGroup {
  dn: string;
  cn: string;
  attributes: Attribute[];
}

/** 15 groups: by department, nested, two in a cycle, one with members that do not exist, one that lists usernames. */
function groupsOf(random: Random, suffix: string, people: DraftPerson[]): DraftGroup[] {
  const groupDn = (cn: string) => `${rdn("cn", cn)},ou=groups,${suffix}`;
  const of = (cn: string, members: string[]): DraftGroup => ({
    dn: groupDn(cn),
    cn,
    attributes: [
      ["objectClass", "groupOfNames"],
      ["cn", cn],
      ...[...new Set(members)].map((member) => ["member", member] as const),
      ["entryUUID", uuidFrom(random)],
    ],
  });
  const inDepartment = (...names: string[]) =>
    people.filter((person) => names.includes(person.department)).map((person) => person.dn);
  const some = (count: number) => Array.from({ length: count }, () => pick(random, people).dn);
  return [
    of("administrators", some(5)),
    of("engineering", inDepartment("Engineering", "Platform", "Applications")),
    of("sales", inDepartment("Sales")),
    of("finance", inDepartment("Finance")),
    of("legal", inDepartment("Legal")),
    of("human resources", inDepartment("Human Resources")),
    of("Zürich, all of it", inDepartment("Verwaltung Zürich")),
    of("managers", some(12)),
    of("on-call", some(8)),
    of("vpn users", [groupDn("engineering"), groupDn("sales"), ...some(3)]),
    of("staff", ["vpn users", "finance", "legal", "human resources", "Zürich, all of it"].map(groupDn)),
    of("project north", [groupDn("project south"), ...some(4)]),
    of("project south", [groupDn("project north"), ...some(4)]),
    of("leavers", [`uid=gone,ou=people,${suffix}`, ...some(1)]),
    {
      dn: groupDn("developers"),
      cn: "developers",
      attributes: [
        ["objectClass", "posixGroup"],
        ["cn", "developers"],
        ["gidNumber", "5000"],
        ...people
          .filter((person) => person.uid !== undefined && /^(Platform|Applications)$/.test(person.department))
          .map((person) => ["memberUid", person.uid ?? ""] as const),
        ["entryUUID", uuidFrom(random)],
      ],
    },
  ];
}

export interface LargeOrganization {
  /** File to write; replaced if it exists. */
  path: string;
  users: number;
  /** Each user is in one of these groups; default none. */
  groups?: number;
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
    ["mail", `${uid}.${ascii(sn)}@${domainOf(suffix)}`],
    ["telephoneNumber", `+41 44 ${String(5_000_000 + number)}`],
    ["title", title],
    ["ou", departments[number % departments.length]?.path[0] ?? ""],
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
    const members: Attribute[] = [];
    for (let number = group; number < options.users; number += groups) {
      members.push(["member", `uid=${largeOrganizationUid(number)},ou=people,${suffix}`]);
    }
    const cn = `group${group}`;
    file.write(
      ldifEntry(`cn=${cn},ou=groups,${suffix}`, [["objectClass", "groupOfNames"], ["cn", cn], ...members]),
    );
  }
  file.end();
  await finished(file);
}

/** An RDN with the value escaped as RFC 4514 asks. */
export function rdn(type: string, value: string): string {
  const escaped = value
    .replace(/[\\",+;<>=]/g, "\\$&")
    .replace(/^[# ]/, "\\$&")
    .replace(/ $/, "\\ ");
  return `${type}=${escaped}`;
}

function domainOf(suffix: string): string {
  const labels = [...suffix.matchAll(/dc=([^,]+)/g)].map((match) => match[1]);
  return labels.length > 0 ? labels.join(".") : "example.org";
}

/** First letter and family name in ASCII, with a number where that is taken. */
function freeUid(givenName: string, sn: string, taken: Set<string | undefined>): string {
  const base = `${ascii(givenName).slice(0, 1)}${ascii(sn)}`;
  let uid = base;
  for (let number = 2; taken.has(uid); number += 1) uid = `${base}${number}`;
  taken.add(uid);
  return uid;
}

function ascii(name: string): string {
  const letters: Record<string, string> = {
    ß: "ss",
    ø: "o",
    Ø: "o",
    ł: "l",
    Ł: "l",
    ı: "i",
    Þ: "th",
    ð: "d",
  };
  return name
    .normalize("NFKD")
    .replace(/[ßøØłŁıÞð]/g, (letter) => letters[letter] ?? "")
    .toLowerCase()
    .replace(/[^a-z]/g, "");
}

type Random = () => number;

// mulberry32: small, fast and good enough to shuffle names. Never for secrets.
function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function uuidFrom(random: Random): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

function pick<T>(random: Random, values: readonly T[]): T {
  const value = values[Math.floor(random() * values.length)];
  if (value === undefined) throw new Error("nothing to pick from");
  return value;
}

function pickWeighted<T extends { weight: number }>(random: Random, values: readonly T[]): T {
  let left = random() * values.reduce((sum, { weight }) => sum + weight, 0);
  for (const value of values) {
    left -= value.weight;
    if (left < 0) return value;
  }
  return pick(random, values);
}
