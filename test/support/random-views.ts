// What servers show of an organization: all of it, or what a wrong access rule, a replica that lags, a restored server or a
// broken line leaves of it. Decides nothing; what must hold whatever is shown stands in random-policy.ts.

import { pick, type Random } from "../../scripts/servers/seeded-random.ts";
import { entry, type FakeRequest, type FakeScript, result, scriptFor, uuidOf } from "./fake-ldap-server.ts";
import { bases, dnOf, groupDnOf, groupsBase, type Organization, type Person } from "./random-organization.ts";

export interface View {
  of: Organization;
  /** Which of the two servers answers, and whether it holds another suffix than usual. */
  server: 0 | 1;
  suffix: "usual" | "other";
  hidesRootDse: boolean;
  /** Ends the connection after so many entries; undefined when it does not. */
  breaksAfter: number | undefined;
  /** Somebody who changes bases while the first one is listed, and so is listed in neither. */
  mover: Person | undefined;
}

export const suffixIds = { usual: uuidOf(800_000), other: uuidOf(800_001) };

export function honestView(organization: Organization): View {
  const plain = { suffix: "usual", hidesRootDse: false, breaksAfter: undefined, mover: undefined } as const;
  return { of: structuredClone(organization), server: 0, ...plain };
}

/** What a view is made from. */
export interface Shown {
  truth: Organization;
  /** As it was some rounds ago. */
  earlier: Organization;
  /** Ids of groups for which MFA is required. */
  requiredGroups: string[];
  /** Whether somebody is stored under this id and this name. */
  isStored(person: Person): boolean;
}

type Falsify = (random: Random, view: View, shown: Shown) => boolean;

const onPeople =
  (change: (person: Person, index: number) => Person): Falsify =>
  (_, view) => {
    view.of.people = view.of.people.map(change);
    return true;
  };

/**
 * Ways in which what is shown is not what is so. False when this one would hide too little to be told from what people do: an
 * access rule that hides two users looks exactly as if two had left.
 */
export const falsehoods = {
  groupsHidden: (_, view) => {
    view.of.groups = [];
    return true;
  },
  groupHidden: (random, view, { requiredGroups }) => {
    const required = view.of.groups.filter(({ id }) => requiredGroups.includes(id));
    if (required.length === 0) return false;
    const hidden = pick(random, required);
    view.of.groups = view.of.groups.filter((group) => group !== hidden);
    return true;
  },
  membersHidden: (_, view) => {
    for (const group of view.of.groups) Object.assign(group, { members: [], groups: [] });
    return true;
  },
  membersOfOneHidden: (random, view, { requiredGroups }) => {
    const required = view.of.groups.filter(({ id }) => requiredGroups.includes(id));
    if (required.length === 0) return false;
    Object.assign(pick(random, required), { members: [], groups: [] });
    return true;
  },
  baseHidden: (random, view) => {
    const hidden = random() < 0.5 ? 0 : 1;
    view.of.people = view.of.people.filter(({ base }) => base !== hidden);
    return true;
  },
  everybodyHidden: (_, view) => {
    view.of.people = [];
    return true;
  },
  locksHidden: onPeople((person) => ({ ...person, isLocked: false })),
  everybodyLocked: onPeople((person) => ({ ...person, isLocked: true })),
  namesHidden: onPeople((person) => ({ ...person, flaw: "bad-name" })),
  everybodyRenamed: onPeople((person) => ({ ...person, uid: `${person.uid}x` })),
  // Of somebody who is not stored nobody can tell which id is the right one.
  everybodyAnew: (_, view, { isStored }) => {
    view.of.people = view.of.people.map((person, index) =>
      isStored(person) ? { ...person, id: uuidOf(900_000 + index) } : person,
    );
    return true;
  },
  // One that was set up beside the directory and holds a part of it.
  otherServer: (random, view) => {
    view.suffix = "other";
    view.of.people = view.of.people.slice(0, 8);
    view.of.groups = view.of.groups.slice(0, 1);
    for (const group of view.of.groups) group.members = group.members.slice(0, 1);
    view.server = random() < 0.5 ? 0 : 1;
    return true;
  },
  // A replica that lags, or the same server restored from a backup.
  olderCopy: (random, view, { earlier }) => {
    if (earlier.changes >= view.of.changes) return false;
    view.of = structuredClone(earlier);
    view.server = random() < 0.5 ? 0 : 1;
    return true;
  },
  rootDseHidden: (_, view) => {
    view.hidesRootDse = true;
    return true;
  },
  broken: (random, view) => {
    view.breaksAfter = Math.floor(random() * view.of.people.length);
    return true;
  },
  movesMeanwhile: (random, view, { truth }) => {
    // Of two entries with one id, the one that is listed looks like the right one.
    const isShared = truth.people.some(({ flaw }) => flaw === "shared-id");
    const movers = truth.people.filter(
      (person) => person.base === 1 && person.flaw === undefined && !(isShared && person === truth.people[0]),
    );
    if (movers.length === 0) return false;
    view.mover = pick(random, movers);
    return true;
  },
} satisfies Record<string, Falsify>;
export type FalsehoodName = keyof typeof falsehoods;

/** What one of the two servers answers while `view()` is what there is to see. */
export function scriptOfView(view: () => View): FakeScript {
  let sent = 0;
  const listing: FakeScript = (request, socket) => {
    const shown = view();
    if (request.base === bases[0]) sent = 0;
    const entries =
      request.base === groupsBase ? groupEntries(request, shown) : peopleEntries(request, shown);
    if (shown.breaksAfter !== undefined) {
      const left = Math.max(0, shown.breaksAfter - sent);
      sent += entries.length;
      if (left < entries.length) {
        socket.end(Buffer.concat(entries.slice(0, left)));
        return undefined;
      }
    }
    if (request.base === bases[0]) move(shown);
    return [...entries, result(request.id, 0, { cookie: "" })];
  };
  return scriptFor(listing, (request) => {
    if (request.operation !== "search" || request.scope !== "base") return undefined;
    const shown = view();
    if (request.base === "") {
      const attributes = { namingContexts: ["dc=fake"], structuralObjectClass: ["OpenLDAProotDSE"] };
      return [...(shown.hidesRootDse ? [] : [entry(request.id, "", attributes)]), result(request.id, 0)];
    }
    if (request.base !== "dc=fake") return undefined;
    const entryUUID = [suffixIds[shown.suffix]];
    const contextCSN = [`20260131120000.${String(shown.of.changes).padStart(6, "0")}Z#000000#001#000000`];
    return [entry(request.id, "dc=fake", { entryUUID, contextCSN }), result(request.id, 0)];
  });
}

// After the first base has been listed; the one who moves is in the second one no more.
function move({ mover, of: { people } }: View): void {
  const shown = people.find(({ id }) => id === mover?.id);
  if (shown) shown.base = 0;
}

function peopleEntries({ base, id: request }: FakeRequest, { of: { people } }: View): Buffer[] {
  const first = people[0];
  return people
    .filter((person) => bases[person.base] === base)
    .map((person) => {
      const { uid, isLocked, displayName, flaw } = person;
      const id = flaw === "shared-id" && first ? first.id : person.id;
      return entry(request, dnOf(person), {
        entryUUID: [id],
        ...(flaw === "bad-name" ? {} : { uid: [uid] }),
        displayName: [displayName],
        ...(isLocked ? { pwdAccountLockedTime: ["000001010000Z"] } : {}),
      });
    });
}

function groupEntries({ id: request }: FakeRequest, { of: { people, groups } }: View): Buffer[] {
  return groups.map((group) => {
    const member = [
      ...people.filter(({ rdn }) => group.members.includes(rdn)).map(dnOf),
      ...groups.filter(({ id }) => group.groups.includes(id)).map(groupDnOf),
    ];
    const attributes = { entryUUID: [group.id], cn: [group.cn] };
    return entry(request, groupDnOf(group), { ...attributes, ...(member.length > 0 ? { member } : {}) });
  });
}
