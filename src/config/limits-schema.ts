// `limits` of a directory in the YAML file: what a run may do without a person's approval, and how much it reads at once.

import { Type } from "typebox";
import { mapping, wholeNumber } from "./schema-parts.ts";

/** A limit on what the runs of a day may do without a person's approval. */
function limit(
  defaults: { count: number; percent: number },
  texts: { what: string; of: string; risk: string },
) {
  const { what, of, risk } = texts;
  return mapping(
    {
      count: wholeNumber([0, 1_000_000], {
        default: defaults.count,
        description: `A run that would ${what} than this, itself or with the runs of 24 hours, and more than the percentage, is held for approval.`,
      }),
      percent: Type.Number({
        minimum: 0,
        maximum: 100,
        default: defaults.percent,
        description: `Share of the ${of} that goes with the count; at 100 the two never hold a run.`,
        reason: `it is a share of the ${of}`,
      }),
    },
    { default: {}, description: `${risk} Both must be passed to hold a run.` },
  );
}

export const limitsSchema = mapping(
  {
    removals: limit(
      { count: 10, percent: 5 },
      {
        what: "remove more users",
        of: "active users",
        risk: "Users who are gone from the directory, as they are too when the account may not read them.",
      },
    ),
    disables: limit(
      { count: 10, percent: 5 },
      {
        what: "disable more users",
        of: "active users",
        risk: "Users whom the directory disables: they cannot sign in any more.",
      },
    ),
    enables: limit(
      { count: 5, percent: 10 },
      {
        what: "enable more disabled users",
        of: "disabled users",
        risk: "Disabled users who would sign in again, as when the account may not read any more who is disabled.",
      },
    ),
    renames: limit(
      { count: 10, percent: 5 },
      {
        what: "give other usernames to more users",
        of: "users",
        risk: "Users who get another username, as when another attribute is read.",
      },
    ),
    requirements: limit(
      { count: 10, percent: 5 },
      {
        what: "end the MFA requirement of more users",
        of: "users of whom MFA is required",
        risk: "Users who leave the last group for which MFA is required, as when the account may not read its members any more.",
      },
    ),
    newIds: limit(
      { count: 5, percent: 1 },
      {
        what: "give the usernames of removed users to more new ones",
        of: "users",
        risk: "Known usernames under new directory ids, as after a restore that made new entries: they would be new users without authenticators.",
      },
    ),
    confirmRemovals: wholeNumber([1, 100], {
      default: 1,
      description:
        "Complete listings from one server in a row that a user must be missing from before it is removed; more than 1 waits out replicas that lag, and lets leavers stay as long.",
      reason: "each one takes as long as the schedule has between two runs",
    }),
    pageSize: wholeNumber([10, 10_000], {
      default: 1000,
      description:
        "Entries a page; Active Directory gives no more than its MaxPageSize, 1,000 unless changed.",
      reason: "smaller pages cost a round trip each, larger ones memory on both sides",
    }),
    messageBytes: wholeNumber([65_536, 268_435_456], {
      default: 16_777_216,
      description:
        "Largest LDAP message that is read, in bytes; a bigger one fails the run. A group of 100,000 members may need 10 MB.",
      reason: "less breaks on ordinary entries, and more lets a broken server fill the memory",
    }),
  },
  { default: {}, description: "What a run may do and read." },
);
