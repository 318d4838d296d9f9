// The otpauth URI that authenticator apps read from a QR code (qr-code.ts). Pure. Follows Google Authenticator's Key URI
// format, which all apps of F5 share. It holds the secret.

import { totpParameters } from "./totp.ts";

// An app shows one short line; 64 characters of issuer and 200 of user name are more than any shows.
const issuerMaxLength = 64;
const usernameMaxLength = 200;

// A QR code of level M holds 2,331 bytes; percent-encoded CJK text takes 9 bytes a character.
const uriMaxLength = 2_300;

/**
 * `otpauth://totp/ISSUER:USERNAME?secret=…&issuer=ISSUER&…`. The format forbids colons in both names, since apps split
 * the label there; they become dashes. Names too long for an app or a QR code are cut, with an ellipsis.
 */
export function keyUriOf(account: { issuer: string; username: string; secretBase32: string }): string {
  const issuer = encodeURIComponent(shortened(labelText(account.issuer), issuerMaxLength));
  const username = Array.from(shortened(labelText(account.username), usernameMaxLength));
  const { algorithm, digits, periodSeconds } = totpParameters;
  const query = `secret=${account.secretBase32}&issuer=${issuer}&algorithm=${algorithm}&digits=${digits}&period=${periodSeconds}`;
  for (let length = username.length; ; length--) {
    const label = encodeURIComponent(shortened(username.join(""), length));
    const uri = `otpauth://totp/${issuer}:${label}?${query}`;
    if (uri.length <= uriMaxLength || length === 1) return uri;
  }
}

function labelText(name: string): string {
  // Half a surrogate pair cannot be percent-encoded.
  return name.toWellFormed().replaceAll(":", "-").trim();
}

function shortened(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}
