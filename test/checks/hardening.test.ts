// What the unit for systemd and the image promise of themselves (docs/operations.md): least privilege, and a health check that asks
// where the daemon listens. Nothing else would notice a line that went.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";

const linesOf = (path: string) =>
  readFileSync(resolve(import.meta.dirname, "../..", path), "utf8").split("\n");

test.each([
  "User=dirmfa",
  "UMask=0077",
  "RuntimeDirectory=dirmfa",
  "StateDirectoryMode=0700",
  "CapabilityBoundingSet=",
  "AmbientCapabilities=",
  "NoNewPrivileges=yes",
  "ProtectSystem=strict",
  "SystemCallFilter=@system-service",
  "SystemCallFilter=~@privileged @resources",
  "RestartPreventExitStatus=2",
])("the unit for systemd says %s", (line) => {
  expect(linesOf("config/dirmfa.service")).toContain(line);
});

test("SIGHUP is the unit's reload", () => {
  expect(linesOf("config/dirmfa.service")).toContain("ExecReload=/bin/kill -HUP $MAINPID");
});

test("the image runs as nobody in particular, and asks its own daemon whether it lives, with TLS too", () => {
  const lines = linesOf("Dockerfile");
  expect(lines).toContain("USER dirmfa");
  expect(lines.find((line) => line.startsWith("HEALTHCHECK"))).toMatch(/CMD \["dirmfa", "health"\]$/);
});

test("the image is made from one base, by its digest, with the Node.js that the tests run on", () => {
  const bases = linesOf("Dockerfile").flatMap((line) => /^FROM (\S+)/.exec(line)?.[1] ?? []);
  expect(bases.length).toBeGreaterThan(1);
  expect(new Set(bases).size).toBe(1);
  expect(bases[0]).toMatch(/^node:\d+\.\d+\.\d+-[a-z-]+@sha256:[0-9a-f]{64}$/);
  expect(linesOf("package.json").join("\n")).toContain(`"node": "${/:([\d.]+)-/.exec(bases[0] ?? "")?.[1]}"`);
});
