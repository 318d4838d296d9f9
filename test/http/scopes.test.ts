// Which scope may make which call: the table in docs/http-api.md is filled from the routes themselves, and each
// call is tried with a token of each scope.

import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Scope } from "../../src/config/config.ts";
import { createMetrics } from "../../src/http/metrics.ts";
import { addApiRoutes } from "../../src/http/server.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { call, startListeners, type TestListeners, tokens } from "../support/http-server.ts";
import { plainConfig, plainOverview } from "../support/plain-config.ts";

const scopes = ["login", "help-desk", "audit", "admin", "metrics"] as const satisfies Scope[];

interface Route {
  method: string;
  url: string;
  allowed: readonly string[];
}

let world: ApiWorld;
let listeners: TestListeners;
const routes: Route[] = [];

beforeAll(async () => {
  world = await openApiWorld();
  listeners = await startListeners({
    addRoutes(app) {
      app.addHook("onRoute", ({ method, url, config, schema }) => {
        const allowed = [config?.scope ?? []].flat();
        // Not the answers to wrong methods, which are added last.
        if (schema?.hide) return;
        for (const one of [method].flat()) if (one !== "HEAD") routes.push({ method: one, url, allowed });
      });
      addApiRoutes(app, {
        config: plainConfig({ mfa: world.deps.mfa }),
        verification: world.deps,
        runner: world.runner,
        onDemand: world.onDemand,
        metrics: createMetrics(async () => []),
        overview: plainOverview,
      });
    },
  });
});
afterAll(async () => {
  await listeners.server.close();
  await world.close();
});

test("the page's table of calls is that of the routes", async () => {
  const page = await readFile(new URL("../../docs/http-api.md", import.meta.url), "utf8");
  const rows = routes.map(({ method, url, allowed }) => {
    const marks = scopes.map((scope) => (allowed.includes(scope) || allowed.includes("open") ? "x" : " "));
    return `| \`${method} ${url.replaceAll(/:(\w+)/g, "{$1}")}\` | ${marks.join(" | ")} |`;
  });
  const table = [`| call | ${scopes.join(" | ")} |`, ...rows];
  const shown = page.split("\n").filter((line) => /^\| (call|`(GET|POST|PUT|DELETE) .*`) \|/.test(line));
  expect(shown).toEqual(table);
});

test("no scope but login takes codes, none but admin changes a requirement, ends MFA or approves", () => {
  const changing = routes.filter(({ method, allowed }) => method !== "GET" && !allowed.includes("login"));
  const byOthers = changing.filter(({ allowed }) => allowed.some((scope) => scope !== "admin"));
  expect(byOthers.map(({ method, url, allowed }) => [`${method} ${url}`, allowed])).toEqual([
    ["POST /v1/admin/users/:id/enrollment-pass", ["admin", "help-desk"]],
    ["POST /v1/admin/users/:id/unlock", ["admin", "help-desk"]],
  ]);
  for (const { method, allowed } of routes) if (allowed.includes("audit")) expect(method).toBe("GET");
  for (const { url, allowed } of routes)
    if (allowed.includes("login")) expect(allowed, url).toEqual(["login"]);
});

test("each call is refused to every scope that is not its own, before anything else is looked at", async () => {
  expect(routes.length).toBeGreaterThan(20);
  for (const { method, url, allowed } of routes) {
    const address = `${listeners.url}${url.replace(":id", "00000000-0000-4000-8000-000000000000")}`;
    for (const scope of scopes) {
      const answer = await call(address, { method, token: tokens[scope] });
      const isForbidden = answer.status === 403 && JSON.stringify(answer.json).includes('"forbidden"');
      expect(isForbidden, `${method} ${url} by ${scope}: ${answer.status}`).toBe(
        !allowed.includes(scope) && !allowed.includes("open"),
      );
    }
  }
});
