// The URLs of directory servers that configuration and session both accept.

import { expect, test } from "vitest";
import { parseServerUrl } from "../../src/ldap-text/server-url.ts";

test.each([
  ["ldap://ldap.example.org", { secure: false, host: "ldap.example.org", port: 389 }],
  ["ldap://a:3389", { secure: false, host: "a", port: 3389 }],
  ["ldaps://10.0.0.1:636/", { secure: true, host: "10.0.0.1", port: 636 }],
  ["ldaps://[::1]", { secure: true, host: "::1", port: 636 }],
  ["ldaps://[2001:db8::1]:637", { secure: true, host: "2001:db8::1", port: 637 }],
])("%s", (url, address) => {
  expect(parseServerUrl(url)).toEqual({ url, ...address });
});

test.each([
  "ldap://",
  "ldap://h:0",
  "ldap://h:65536",
  "ldap://h:x",
  "ldap://h/dc=example",
  "ldap://h?uid",
  "ldap://user:password@h",
  "ldap://[::g]",
  "ldap://a b",
  "ldapi:///run/slapd",
  "http://h",
  "LDAP://h",
  "h:389",
])("%j is none", (url) => {
  expect(parseServerUrl(url)).toBeUndefined();
});
