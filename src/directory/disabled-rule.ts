// When the directory says that a user is disabled, as the configuration's rule for its kind reads it. Pure.

import type { DisabledRule } from "../config/config.ts";
import type { AttributeSlots } from "./attribute-slots.ts";
import type { RawAttribute } from "./ldap/ldap-message.ts";

// userAccountControl: ADS_UF_ACCOUNTDISABLE.
const accountDisabledBit = 0x2;

/**
 * Adds what the rule looks at to `slots`; what comes back judges the attributes found in them. An account that has expired by
 * `directoryTime`, by the server's clock, is disabled. Null where the entry does not tell: every entry has a userAccountControl,
 * so where it is missing, the server hides it. Other attributes are missing where there is nothing to say.
 */
export function disabledRuleReader(
  rule: DisabledRule,
  slots: AttributeSlots,
  directoryTime: Date,
): (found: readonly (RawAttribute | undefined)[]) => boolean | null {
  if (rule.kind === "never") return () => false;
  const slot = slots.add(rule.attribute);
  if (rule.kind === "user-account-control") {
    const expirySlot = slots.add("accountExpires");
    const now = fileTimeOf(directoryTime);
    return (found) => {
      const text = found[slot]?.first()?.toString("latin1") ?? "";
      if (hasExpired(found[expirySlot]?.first()?.toString("latin1"), now)) return true;
      return /^-?\d+$/.test(text) ? (Number(text) & accountDisabledBit) !== 0 : null;
    };
  }
  const values = new Set(rule.values.map((value) => value.toLowerCase()));
  return (found) => {
    const attribute = found[slot];
    if (attribute === undefined) return false;
    if (values.size === 0) return true;
    for (const value of attribute.values()) {
      if (values.has(value.toString("utf8").trim().toLowerCase())) return true;
    }
    return false;
  };
}

// accountExpires passes without a change of the entry. What is hashed is the state and not the time, so the first complete
// listing after it disables the user; until then Active Directory itself refuses the password.
function hasExpired(accountExpires: string | undefined, now: bigint): boolean {
  // 0 and the largest number mean never ([MS-ADA1] 2.1); 64 bits have up to 19 digits.
  if (accountExpires === undefined || !/^[1-9]\d{0,18}$/.test(accountExpires)) return false;
  return BigInt(accountExpires) <= now;
}

// [MS-DTYP] 2.3.3: 100 ns since 1601, 11,644,473,600 s before 1970.
function fileTimeOf(time: Date): bigint {
  return (BigInt(time.getTime()) + 11_644_473_600_000n) * 10_000n;
}
