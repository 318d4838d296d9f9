// The one grammar of a database URL: one server or several, and nothing that would be understood in two ways.

import { expect, test } from "vitest";
import { databaseUrlWarning } from "../../src/config/database-url.ts";
import { parsePostgresUrl } from "../../src/postgres-url.ts";

const serversOf = (text: string) => parsePostgresUrl(text)?.map(({ href }) => href);

test("a URL is one a server, with the same user, database and settings", () => {
  expect(serversOf("postgres://u:p%40ss@a.example.org,[::1]:5433,c/d?sslmode=verify-full")).toEqual([
    "postgres://u:p%40ss@a.example.org/d?sslmode=verify-full",
    "postgres://u:p%40ss@[::1]:5433/d?sslmode=verify-full",
    "postgres://u:p%40ss@c/d?sslmode=verify-full",
  ]);
  expect(serversOf("postgresql:///d?host=/run/postgresql")).toEqual(["postgresql:///d?host=/run/postgresql"]);
  expect(serversOf("postgres://u,v:p,q@a/d")).toEqual(["postgres://u,v:p,q@a/d"]);
});

test.each([
  "mysql://a/d",
  "postgres://a,/d",
  "postgres://,a/d",
  "postgres://a,,b/d",
  "postgres://a:port,b/d",
  "postgres://[::1/d",
  "postgres://a,b/d?target_session_attrs=any",
  "postgres://a,b/d?target_session_attrs=standby",
  "",
])("%s is none", (text) => {
  expect(parsePostgresUrl(text)).toBeUndefined();
});

test("that the one that takes writes is wanted may be said", () => {
  for (const wish of ["read-write", "primary"])
    expect(serversOf(`postgres://a,b/d?target_session_attrs=${wish}`)).toHaveLength(2);
});

test("one server on another machine is enough for the warning", () => {
  expect(databaseUrlWarning("postgres://localhost,db.example.org/d")).toContain("without TLS");
  expect(databaseUrlWarning("postgres://localhost,127.0.0.1:5433/d")).toBeUndefined();
});
