// A certificate authority made at test time, and server certificates of any kind: right, expired, for another name.
// Writes X.509 (RFC 5280) itself, since node:crypto reads certificates but cannot make one. For tests and the demo only.

import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIP } from "node:net";

export interface ServerCertificate {
  certPem: string;
  keyPem: string;
}

export interface CertificateRequest {
  /** Host names and IP addresses the certificate is for. */
  names: string[];
  notBefore?: Date;
  notAfter?: Date;
}

export interface CertificateAuthority {
  certPem: string;
  issue(request: CertificateRequest): ServerCertificate;
}

const dayMs = 86_400_000;

/** A fresh authority with a P-256 key. `validity` serves tests of an expired authority. */
export function createCertificateAuthority(
  commonName = "dirmfa test authority",
  validity: { notBefore?: Date; notAfter?: Date } = {},
): CertificateAuthority {
  const authority = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certPem = certificate({
    issuer: commonName,
    subject: commonName,
    subjectKey: authority.publicKey,
    issuerKey: authority.privateKey,
    extensions: [
      extension("2.5.29.19", sequence(boolean(true)), true),
      // keyCertSign and cRLSign: bits 5 and 6, one unused bit at the end.
      extension("2.5.29.15", element(0x03, Buffer.from([1, 0x06])), true),
    ],
    ...validity,
  });
  return {
    certPem,
    issue({ names, notBefore, notAfter }) {
      const server = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return {
        certPem: certificate({
          issuer: commonName,
          subject: names[0] ?? "unnamed",
          subjectKey: server.publicKey,
          issuerKey: authority.privateKey,
          extensions: [
            extension("2.5.29.17", sequence(...names.map(generalName)), false),
            extension(
              "2.5.29.37",
              sequence(objectIdentifier("1.3.6.1.5.5.7.3.1"), objectIdentifier("1.3.6.1.5.5.7.3.2")),
              false,
            ), // serverAuth and clientAuth
          ],
          ...(notBefore === undefined ? {} : { notBefore }),
          ...(notAfter === undefined ? {} : { notAfter }),
        }),
        keyPem: server.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      };
    },
  };
}

interface CertificateFields {
  issuer: string;
  subject: string;
  subjectKey: KeyObject;
  issuerKey: KeyObject;
  extensions: Buffer[];
  notBefore?: Date;
  notAfter?: Date;
}

// A day either side of now is enough for a test and survives clocks that differ.
function certificate(fields: CertificateFields): string {
  const algorithm = sequence(objectIdentifier("1.2.840.10045.4.3.2")); // ecdsa-with-SHA256
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40; // positive and without a leading zero byte, as DER wants integers
  const signed = sequence(
    element(0xa0, element(0x02, Buffer.from([2]))), // version 3
    element(0x02, serial),
    algorithm,
    distinguishedName(fields.issuer),
    sequence(
      time(fields.notBefore ?? new Date(Date.now() - dayMs)),
      time(fields.notAfter ?? new Date(Date.now() + dayMs)),
    ),
    distinguishedName(fields.subject),
    fields.subjectKey.export({ type: "spki", format: "der" }),
    element(0xa3, sequence(...fields.extensions)),
  );
  const signature = sign("sha256", signed, fields.issuerKey);
  const der = sequence(signed, algorithm, element(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = der.toString("base64").replace(/.{64}/g, "$&\n").trimEnd();
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function extension(oid: string, value: Buffer, critical: boolean): Buffer {
  return sequence(objectIdentifier(oid), ...(critical ? [boolean(true)] : []), element(0x04, value));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(
    element(0x31, sequence(objectIdentifier("2.5.4.3"), element(0x0c, Buffer.from(commonName)))),
  );
}

function generalName(name: string): Buffer {
  if (isIP(name) === 0) return element(0x82, Buffer.from(name));
  return element(0x87, isIP(name) === 4 ? Buffer.from(name.split(".").map(Number)) : ipv6Bytes(name));
}

function ipv6Bytes(address: string): Buffer {
  const [head = "", tail] = address.split("::");
  const words = (text: string) =>
    text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16));
  const last = tail === undefined ? [] : words(tail);
  const first = words(head);
  const zeros = new Array<number>(8 - first.length - last.length).fill(0);
  return Buffer.from([...first, ...zeros, ...last].flatMap((word) => [word >> 8, word & 0xff]));
}

// GeneralizedTime with four year digits; RFC 5280 wants UTCTime before 2050.
function time(date: Date): Buffer {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, "");
  return date.getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(digits.slice(2)))
    : element(0x18, Buffer.from(digits));
}

function boolean(value: boolean): Buffer {
  return element(0x01, Buffer.from([value ? 0xff : 0]));
}

function sequence(...parts: Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts));
}

function objectIdentifier(oid: string): Buffer {
  const [first = 0, second = 0, ...rest] = oid.split(".").map(Number);
  return element(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(number: number): number[] {
  const digits = [number & 0x7f];
  for (let left = number >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
  return digits;
}

// DER: tag, length in the shortest form, content (X.690).
function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), content]);
}
