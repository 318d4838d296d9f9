// Every statement that adds audit events says which request they come from.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../..");

test("every insert into audit_events fills request_id", () => {
  const paths = execFileSync("git", ["ls-files", "src"], { cwd: root, encoding: "utf8" }).trim().split("\n");
  const inserts = paths.flatMap((path) => {
    const text = readFileSync(resolve(root, path), "utf8");
    return [...text.matchAll(/insert into audit_events \(([^)]*)\)/g)].map(([, columns]) => ({
      path,
      columns,
    }));
  });
  expect(inserts.length).toBeGreaterThan(0);
  expect(inserts.filter(({ columns }) => !columns?.includes("request_id"))).toEqual([]);
});
