// Checks the values of a directory together: passwords on open networks, binds without a secret, keys that contradict. Pure.

import { parseServerUrl } from "../ldap-text/server-url.ts";
import {
  bindSchema,
  directoryTlsSchema,
  disabledRuleSchema,
  groupBasesSchema,
  nameSchema,
  scheduleSchema,
  urlSchema,
} from "./directory-schema.ts";
import { isOneReference } from "./env-references.ts";
import { isLoopback, looksLikeDn } from "./formats.ts";
import { type Meaning, refuse, refuseDoubled, refuseKey, warn, writtenAt } from "./meaning.ts";
import { requiredDirectoriesSchema, requiredGroupsSchema } from "./mfa-schema.ts";
import type { KeyPath } from "./problems.ts";
import { isWritten } from "./yaml-source.ts";

export function checkDirectories(meaning: Meaning): void {
  const count = meaning.lengthOf(["directories"]);
  for (let index = 0; index < count; index += 1) {
    const directory = ["directories", String(index)];
    checkConnection(meaning, directory);
    checkBind(meaning, [...directory, "bind"]);
    checkDisabledRule(meaning, [...directory, "users", "disabled"]);
    checkSchedules(meaning, directory);
  }
  refuseDoubled(meaning, ["directories"], "name", nameSchema);
  checkRequirements(meaning, count);
}

// Incremental runs remove nobody, so that without full ones people who left would stay for ever (rule 25).
function checkSchedules(meaning: Meaning, directory: KeyPath): void {
  if (!writtenAt(meaning, [...directory, "incrementalSchedule"])) return;
  if (meaning.part([...directory, "schedule"], scheduleSchema) !== "on-demand") return;
  const why = "incremental runs remove nobody, and need full ones beside them";
  refuse(meaning, [...directory, "incrementalSchedule"], `${why}; give schedule a time`);
}

function checkConnection(meaning: Meaning, directory: KeyPath): void {
  const tls = meaning.part([...directory, "tls"], directoryTlsSchema);
  if (tls === undefined) return;
  for (let index = 0; index < meaning.lengthOf([...directory, "urls"]); index += 1) {
    const path = [...directory, "urls", String(index)];
    const url = parseServerUrl(meaning.part(path, urlSchema) ?? "");
    if (url === undefined) continue;
    if (url.secure && tls.startTls) {
      refuse(meaning, path, "ldaps:// is encrypted from the start; leave tls.startTls out, or write ldap://");
    }
    if (url.secure || tls.startTls || isLoopback(url.host)) continue;
    const risk = "the bind password and every user cross the network unencrypted";
    const way = "use ldaps://, tls.startTls or, knowing that, tls.allowPlaintext";
    if (tls.allowPlaintext) warn(meaning, path, `unencrypted, as tls.allowPlaintext says: ${risk}`);
    else refuse(meaning, path, `unencrypted, so ${risk}; ${way}`);
  }
}

function checkBind(meaning: Meaning, path: KeyPath): void {
  const bind = meaning.part(path, bindSchema);
  if (bind === undefined || bind === "anonymous") return;
  const written = writtenAt(meaning, [...path, "password"]);
  if (bind.password !== undefined && (written === undefined || !isOneReference(written))) {
    const why = "a password in plain ends up in backups and version control";
    refuse(meaning, [...path, "password"], `${why}; use passwordFile, or \${NAME} and nothing else`);
  }
  if (bind.password !== undefined && bind.passwordFile !== undefined) {
    refuseKey(meaning, [...path, "passwordFile"], "password is given too; leave one of them out");
  }
  if (bind.password === undefined && bind.passwordFile === undefined) {
    refuseKey(meaning, path, "no password; add passwordFile, or write `bind: anonymous`");
  }
}

function checkDisabledRule(meaning: Meaning, path: KeyPath): void {
  const disabled = meaning.part(path, disabledRuleSchema);
  if (disabled === undefined) return;
  if (disabled.rule === "attribute" && disabled.attribute === undefined) {
    refuseKey(meaning, path, "`rule: attribute` needs the key attribute");
  }
  if (disabled.rule !== "attribute" && disabled.values.length > 0) {
    refuseKey(meaning, [...path, "values"], "only `rule: attribute` compares values; leave them out");
  }
  if (disabled.rule === "never" && disabled.attribute !== undefined) {
    refuseKey(meaning, [...path, "attribute"], "`rule: never` reads no attribute; leave it out");
  }
}

/** What mfa requires must be there: a slip in a name would be a requirement for nobody. */
function checkRequirements(meaning: Meaning, count: number): void {
  const indexes = Array.from({ length: count }, (_, index) => String(index));
  const names = indexes.map((index) => meaning.part(["directories", index, "name"], nameSchema));
  const required = meaning.part(["mfa", "requireForDirectories"], requiredDirectoriesSchema) ?? [];
  for (const [index, name] of required.entries()) {
    // A directory without a sound name may be the one that is meant.
    if (names.includes(name) || names.includes(undefined)) continue;
    const known = names.length === 0 ? "there are none" : `they are ${[...new Set(names)].join(", ")}`;
    refuse(meaning, ["mfa", "requireForDirectories", String(index)], `no directory has this name; ${known}`);
  }
  const groups = meaning.part(["mfa", "requireForGroups"], requiredGroupsSchema) ?? [];
  const readsGroups = indexes.some((index) => isWritten(meaning.source, ["directories", index, "groups"]));
  if (groups.length > 0 && !readsGroups) {
    refuse(meaning, ["mfa", "requireForGroups"], "no directory has a groups section, so no group is known");
    return;
  }
  const bases = indexes.flatMap(
    (index) => meaning.part(["directories", index, "groups", "bases"], groupBasesSchema) ?? [],
  );
  for (const [index, group] of groups.entries()) {
    if (!looksLikeDn(group) || bases.some((base) => isUnder(group, base))) continue;
    warn(
      meaning,
      ["mfa", "requireForGroups", String(index)],
      "a DN outside every groups.bases, so this group is not read",
    );
  }
}

/** DNs are compared as text, without case and without spaces around commas: sufficient for a warning. */
function isUnder(dn: string, base: string): boolean {
  const [inner, outer] = [dn, base].map((text) =>
    text
      .toLowerCase()
      .replaceAll(/\s*([,=])\s*/g, "$1")
      .trim(),
  );
  return inner === outer || inner?.endsWith(`,${outer}`) === true;
}
