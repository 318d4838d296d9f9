// Turns the result codes of a directory into AppErrors that an admin can act on. The only file that knows what each
// server means by a code, and which of its settings to change. Decides nothing else.

import { AppError, type DirectoryErrorCode } from "../../errors.ts";
import type { LdapResult } from "./ldap-message.ts";

/** What was asked when the result came: chooses the words and what the admin can do. */
export interface Asked {
  /** Continues "the server stopped …", such as `listing the users below "ou=people"`. */
  what: string;
  url: string;
  bindDn: string | undefined;
}

// RFC 4511, appendix A, as far as searching and binding can meet them.
export const resultCode = {
  success: 0,
  operationsError: 1,
  protocolError: 2,
  timeLimitExceeded: 3,
  sizeLimitExceeded: 4,
  strongerAuthRequired: 8,
  partialResults: 9,
  referral: 10,
  adminLimitExceeded: 11,
  unavailableCriticalExtension: 12,
  confidentialityRequired: 13,
  undefinedAttributeType: 17,
  inappropriateMatching: 18,
  invalidAttributeSyntax: 21,
  noSuchObject: 32,
  invalidDnSyntax: 34,
  inappropriateAuthentication: 48,
  invalidCredentials: 49,
  insufficientAccessRights: 50,
  busy: 51,
  unavailable: 52,
  unwillingToPerform: 53,
} as const;

/**
 * What OpenLDAP's `limits` must say for the bind DN: no limit on a search, on the size of a page, on all pages together, and on
 * time. The documents say the same.
 */
export const openLdapLimits = "size=unlimited size.pr=unlimited size.prtotal=unlimited time=unlimited";

type Explained = { code: DirectoryErrorCode; message: string; remedy: string };

/** The error for a result code other than success in answer to a search. */
export function errorOfSearchResult(result: LdapResult, asked: Asked): AppError {
  return errorOf(explainSearchResult(result, asked), result, asked);
}

/** The error for a result code other than success in answer to a bind. */
export function errorOfBindResult(result: LdapResult, asked: Asked): AppError {
  return errorOf(explainBindResult(result, asked), result, asked);
}

function errorOf(explained: Explained, result: LdapResult, asked: Asked): AppError {
  const said = result.diagnostic === "" ? "" : ` (${result.diagnostic})`;
  return new AppError(explained.code, `${explained.message}${said}`, {
    remedy: explained.remedy,
    fields: {
      url: asked.url,
      resultCode: result.code,
      ...(result.matchedDn === "" ? {} : { matchedDn: result.matchedDn }),
      ...(result.referrals.length === 0 ? {} : { referrals: result.referrals.join(" ") }),
    },
  });
}

function explainSearchResult(result: LdapResult, { what, bindDn }: Asked): Explained {
  const who = bindDn === undefined ? "anonymous connections" : `"${bindDn}"`;
  const limitsLine = `limits ${bindDn === undefined ? "anonymous" : `dn.exact="${bindDn}"`} ${openLdapLimits}`;
  switch (result.code) {
    case resultCode.sizeLimitExceeded:
      return {
        code: "directory-size-limit",
        message: `the server stopped ${what} at its size limit, so the listing is not complete`,
        remedy:
          `Lift the limit for ${who}: OpenLDAP "${limitsLine}" (olcLimits); 389-ds nsSizeLimit and nsPagedSizeLimit -1; ` +
          "Active Directory: keep limits.pageSize at or below MaxPageSize (1000).",
      };
    case resultCode.timeLimitExceeded:
      return {
        code: "directory-time-limit",
        message: `the server stopped ${what} at its time limit, so the listing is not complete`,
        remedy: `Lift the limit for ${who} (OpenLDAP "${limitsLine}"; 389-ds nsTimeLimit -1), or index the attributes in the filter.`,
      };
    case resultCode.adminLimitExceeded:
      return explainAdminLimit(result, what, limitsLine, who);
    case resultCode.unavailableCriticalExtension:
      return {
        code: "directory-paging-refused",
        message: `the server does not page results, which ${what} needs`,
        remedy:
          "Allow the paged results control (1.2.840.113556.1.4.319) on the server; without it a large directory cannot be listed completely.",
      };
    case resultCode.protocolError:
    case resultCode.unwillingToPerform:
      return explainRefusedOperation(result, what, limitsLine);
    case resultCode.referral:
    case resultCode.partialResults:
      return {
        code: "directory-referral",
        message: `the server points to another server for ${what}`,
        remedy: "Configure the server that holds this base in urls; referrals are not followed.",
      };
    case resultCode.noSuchObject:
      return {
        code: "directory-base-missing",
        message: `${what} failed: there is no such entry, or it is hidden from ${who}`,
        remedy: "Check the base DN, and that the bind DN may read the base entry.",
      };
    case resultCode.invalidDnSyntax:
      return {
        code: "directory-base-missing",
        message: `${what} failed: the server says that this is no DN`,
        remedy: "Check the spelling of the base DN.",
      };
    case resultCode.undefinedAttributeType:
    case resultCode.inappropriateMatching:
    case resultCode.invalidAttributeSyntax:
      return {
        code: "directory-filter-invalid",
        message: `the server does not accept the filter for ${what}`,
        remedy:
          "Check the attribute names and the kinds of comparison in the filter against the server's schema.",
      };
    case resultCode.insufficientAccessRights:
    case resultCode.inappropriateAuthentication:
    case resultCode.invalidCredentials:
      return explainNoAccess(result, what, who);
    case resultCode.strongerAuthRequired:
    case resultCode.confidentialityRequired:
      return {
        code: "directory-access-denied",
        message: `the server wants an encrypted or stronger bind before ${what}`,
        remedy: "Use an ldaps:// URL or tls.startTls, and a bind DN.",
      };
    case resultCode.busy:
    case resultCode.unavailable:
      return {
        code: "directory-busy",
        message: `the server is too busy or not available for ${what}`,
        remedy: "Nothing needs to be done if the next run succeeds; otherwise look at the server's load.",
      };
    case resultCode.operationsError:
      // Active Directory answers an anonymous search this way, and names the missing bind; so does Samba.
      if (/bind must be completed|without authentication/i.test(result.diagnostic))
        return explainNoAccess(result, what, who);
      return explainFailure(result, what);
    default:
      return explainFailure(result, what);
  }
}

function explainFailure(result: LdapResult, what: string): Explained {
  return {
    code: "directory-failed",
    message: `the server answered ${what} with result code ${result.code}`,
    remedy: "Look up the result code in the server's log at this time.",
  };
}

function explainNoAccess(result: LdapResult, what: string, who: string): Explained {
  // OpenLDAP's ppolicy lets such a user bind and then refuses everything else.
  if (/restricted to bind\/unbind/i.test(result.diagnostic)) {
    return {
      code: "directory-password-expired",
      message: `the password of ${who} must be changed before the server allows ${what}`,
      remedy: "Set a new password for the bind DN, clear its pwdReset, and put the new password in place.",
    };
  }
  return {
    code: "directory-access-denied",
    message: `the server refuses ${what} to ${who}`,
    remedy:
      "Give the bind DN the right to search and read the bases, with the attributes that are configured.",
  };
}

// OpenLDAP answers 11 for forbidden paging, for a page larger than size.pr, and for a size limit on unpaged results; 389-ds for its look-through limit.
function explainAdminLimit(result: LdapResult, what: string, limitsLine: string, who: string): Explained {
  if (/page size/i.test(result.diagnostic)) {
    return {
      code: "directory-paging-refused",
      message: `the server allows ${who} only smaller pages than ${what} asks for`,
      remedy: `Lower limits.pageSize to the server's size.pr or less, or lift that: OpenLDAP "${limitsLine}" (olcLimits).`,
    };
  }
  if (/paged/i.test(result.diagnostic)) {
    return {
      code: "directory-paging-refused",
      message: `the server does not let ${who} page results, which ${what} needs`,
      remedy: `OpenLDAP: replace prtotal=disabled by "${limitsLine}" (olcLimits).`,
    };
  }
  return {
    code: "directory-admin-limit",
    message: `the server stopped ${what} at an administrative limit, so the listing is not complete`,
    remedy:
      `Lift the limit for ${who}: 389-ds nsPagedLookThroughLimit and nsLookThroughLimit -1 on the bind entry; ` +
      `OpenLDAP "${limitsLine} size.unchecked=unlimited", or an index for the filter.`,
  };
}

// OpenLDAP: 2 for a cookie it does not know, 53 for one it has seen.
function explainRefusedOperation(result: LdapResult, what: string, limitsLine: string): Explained {
  if (/paged|cookie|page/i.test(result.diagnostic)) {
    return {
      code: "directory-paging-refused",
      message: `the server refused a page while ${what}`,
      remedy: `Lower limits.pageSize, or lift the server's limit (OpenLDAP "${limitsLine}").`,
    };
  }
  return explainFailure(result, what);
}

const passwordPolicyControl = "1.3.6.1.4.1.42.2.27.8.5.1";
const netscapePasswordExpiredControl = "2.16.840.1.113730.3.4.4";

function explainBindResult(result: LdapResult, { bindDn }: Asked): Explained {
  const who = bindDn === undefined ? "an anonymous bind" : `the bind of "${bindDn}"`;
  const refused = (why: string, remedy: string): Explained => ({
    code: "directory-bind-refused",
    message: `the server refused ${who}: ${why}`,
    remedy,
  });
  switch (result.code) {
    case resultCode.invalidCredentials:
      return explainInvalidCredentials(result, who, refused);
    case resultCode.busy:
    case resultCode.unavailable:
      return {
        code: "directory-busy",
        message: "the server is too busy or not available to bind",
        remedy: "Nothing needs to be done if the next run succeeds; otherwise look at the server's load.",
      };
    case resultCode.confidentialityRequired:
    case resultCode.strongerAuthRequired:
      return refused("it wants an encrypted connection", "Use an ldaps:// URL or tls.startTls.");
    case resultCode.invalidDnSyntax:
      return refused("the bind DN is not a DN", "Check the spelling of bind.dn.");
    case resultCode.inappropriateAuthentication:
      return refused(
        "this entry cannot bind this way",
        "Check that the entry of bind.dn has a password, or that anonymous binds are allowed.",
      );
    default:
      return refused(
        `result code ${result.code}`,
        "Check bind.dn and its password, and the server's log at this time.",
      );
  }
}

// Active Directory tells the reason as a Windows error number in hexadecimal.
const activeDirectoryReasons: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  "525": ["no such user", "Check bind.dn; it may be a DN, user@domain or DOMAIN\\user."],
  "530": ["not allowed at this time", "Lift the logon hours of this user."],
  "531": ["not allowed from this machine", "Allow this machine among the workstations of this user."],
  "533": ["the user is disabled", "Enable the user, or configure another."],
  "701": ["the user has expired", "Extend the user's expiry, or configure another."],
  "775": ["the user is locked out", "Unlock the user and find out who tries wrong passwords."],
};

function explainInvalidCredentials(
  result: LdapResult,
  who: string,
  refused: (why: string, remedy: string) => Explained,
): Explained {
  const reason = /\bdata ([0-9a-f]{3})\b/i.exec(result.diagnostic)?.[1]?.toLowerCase();
  if (reason === "532" || reason === "773" || passwordIsExpired(result)) {
    return {
      code: "directory-password-expired",
      message: `the server refused ${who}: the password has expired or must be changed`,
      remedy: "Set a new password for the bind DN, best one that does not expire, and put it in place.",
    };
  }
  const known = reason === undefined ? undefined : activeDirectoryReasons[reason];
  if (known !== undefined) return refused(known[0], known[1]);
  return refused(
    "wrong bind DN or password",
    "Check bind.dn and the password file; a trailing space or an old password are common.",
  );
}

/** True when a bind's answer says in a control that the password is expired or must be changed, whatever its code. */
export function passwordIsExpired(result: LdapResult): boolean {
  return result.controls.some(({ oid, value }) => {
    if (oid === netscapePasswordExpiredControl) return true;
    if (oid !== passwordPolicyControl || value === undefined) return false;
    // draft-behera-ldap-password-policy: SEQUENCE { [0] warning OPTIONAL, [1] error ENUMERATED OPTIONAL }. The error
    // stands last and is one byte: 0 passwordExpired, 2 changeAfterReset.
    const error = value.subarray(-3);
    return error.length === 3 && error[0] === 0x81 && error[1] === 1 && (error[2] === 0 || error[2] === 2);
  });
}
