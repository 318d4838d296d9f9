// Generates a small, believable organization as LDIF, with everything that makes real directories awkward. The same seed
// gives the same text, entryUUIDs included. No network, no server.

import { domainOf, ldifEntry, rdn } from "./ldif.ts";
import { asciiOf, latinFamilyNames, latinGivenNames, otherScripts, titles } from "./names.ts";
import { pick, pickWeighted, type Random, randomFrom, uuidFrom } from "./seeded-random.ts";
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

/**
 * About 200 people in 9 departments and 15 groups. What is awkward in it stands in `awkwardPeople` and `groupsOf`. Nobody has
 * a password unless one is given; then everybody has that one.
 */
export function generateOrganization(
  options: { suffix?: string; seed?: number; people?: number; password?: string } = {},
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
  const passwords = options.password === undefined ? [] : [["userPassword", options.password] as const];
  const ldif = [
    ...places.map(({ dn, ou }) =>
      ldifEntry(dn, [
        ["objectClass", "organizationalUnit"],
        ["ou", ou],
      ]),
    ),
    ...people.map((person) => ldifEntry(person.dn, [...person.attributes, ...passwords])),
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

/** First letter and family name in ASCII, with a number where that is taken. */
function freeUid(givenName: string, sn: string, taken: Set<string | undefined>): string {
  const base = `${asciiOf(givenName).slice(0, 1)}${asciiOf(sn)}`;
  let uid = base;
  for (let number = 2; taken.has(uid); number += 1) uid = `${base}${number}`;
  taken.add(uid);
  return uid;
}
