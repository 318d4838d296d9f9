// Rule 30: who may ask for what, over every route there is, as the routes themselves say; and what a form must carry.

import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Who } from "../../src/console/site.ts";
import { type ConsoleWorld, openConsoleWorld, type Uid, type Visitor } from "./console-world.ts";

let world: ConsoleWorld;
let carol: string;
const visitors = new Map<Uid, Visitor>();

beforeAll(async () => {
  world = await openConsoleWorld();
  carol = await world.idOf("carol");
  for (const uid of ["alice", "helen", "arthur", "bob"] as const) visitors.set(uid, await world.signIn(uid));
});
afterAll(() => world?.close());

const roleOf = { alice: "admin", helen: "helpDesk", arthur: "auditor", bob: undefined } as const;
const uids = ["alice", "helen", "arthur", "bob"] as const;

function visitorOf(uid: Uid): Visitor {
  const visitor = visitors.get(uid);
  if (!visitor) throw new Error(`${uid} is not signed in`);
  return visitor;
}

function pathOf(path: string): string {
  return path.replace(":id", carol).replace(":name", "main");
}

function rolesIn(who: Who): readonly string[] {
  return typeof who === "string" ? [] : who;
}

test("the routes are those that are known here, each with who may ask", () => {
  const known = world.console.routes.map(({ method, path, who }) => `${method} ${path} ${String(who)}`);
  expect(known.toSorted()).toMatchInlineSnapshot(`
    [
      "GET / signed-in",
      "GET /audit admin,auditor",
      "GET /audit/events.csv admin,auditor",
      "GET /audit/events.jsonl admin,auditor",
      "GET /configuration admin,auditor",
      "GET /directories admin,auditor",
      "GET /directories/:name admin,auditor",
      "GET /enrollment admin,auditor",
      "GET /enrollment/missing.csv admin,auditor",
      "GET /notices admin,auditor",
      "GET /runs/:id admin,auditor",
      "GET /settings own",
      "GET /sign-in everybody",
      "GET /sign-in/backup-code challenge",
      "GET /sign-in/code challenge",
      "GET /users admin,helpDesk,auditor",
      "GET /users/:id admin,helpDesk,auditor",
      "POST /directories/:name/dry-run admin",
      "POST /directories/:name/run admin",
      "POST /notices/:id/retry admin",
      "POST /notices/retry admin",
      "POST /runs/:id/approve admin",
      "POST /settings/backup-codes signed-in",
      "POST /settings/backup-codes/file signed-in",
      "POST /settings/disable signed-in",
      "POST /settings/enrollment own",
      "POST /settings/enrollment/confirm own",
      "POST /sign-in everybody",
      "POST /sign-in/backup-code challenge",
      "POST /sign-in/code challenge",
      "POST /sign-out everybody",
      "POST /users/:id/disable-mfa admin",
      "POST /users/:id/enrollment-pass admin,helpDesk",
      "POST /users/:id/mfa-required admin",
      "POST /users/:id/unlock admin,helpDesk",
    ]
  `);
});

describe("rule 30: every page and act is refused", () => {
  test("without a session", async () => {
    for (const { method, path, who } of world.console.routes) {
      if (who === "everybody") continue;
      const stranger = world.visitor();
      await stranger.get("/sign-in");
      const answer = method === "GET" ? await stranger.get(pathOf(path)) : await stranger.post(pathOf(path));
      const refusal = method === "GET" ? [303, "/sign-in"] : [403, null];
      expect([path, answer.status, answer.location]).toEqual([path, ...refusal]);
    }
  });

  test("after the password alone", async () => {
    const half = world.visitor();
    await half.get("/sign-in");
    await half.post("/sign-in", { username: "alice", password: "password of alice" });
    await half.get("/sign-in/code");
    for (const { method, path, who } of world.console.routes) {
      if (who === "everybody" || who === "challenge") continue;
      const answer = method === "GET" ? await half.get(pathOf(path)) : await half.post(pathOf(path));
      const refusal = method === "GET" ? [303, "/sign-in/code"] : [403, null];
      expect([path, answer.status, answer.location]).toEqual([path, ...refusal]);
    }
  });

  test("with any role that is not named for it", async () => {
    for (const { method, path, who } of world.console.routes) {
      if (typeof who === "string") continue;
      for (const uid of uids) {
        const role = roleOf[uid];
        if (role !== undefined && rolesIn(who).includes(role)) continue;
        const visitor = visitorOf(uid);
        await visitor.get("/settings");
        const answer = method === "GET" ? await visitor.get(pathOf(path)) : await visitor.post(pathOf(path));
        expect([uid, method, path, answer.status]).toEqual([uid, method, path, 403]);
        expect(answer.text).toContain("You have no role");
      }
    }
  });

  test("with a session whose role was taken away, which ends with it", async () => {
    const { db } = world.database;
    const kept = await db("console_sessions").select("*");
    const stolen: Record<string, { cookie: string; formToken: string }> = {};
    for (const uid of ["alice", "helen", "arthur"] as const) {
      const visitor = visitorOf(uid);
      await visitor.get("/settings");
      stolen[uid] = { cookie: visitor.cookie, formToken: visitor.formToken };
    }
    await world.reload({ roles: { admin: [], helpDesk: [], auditor: [] } });
    onTestFinished(() => world.reload({}));
    for (const { method, path, who } of world.console.routes) {
      for (const uid of (["alice", "helen", "arthur"] as const).filter((it) =>
        rolesIn(who).includes(roleOf[it]),
      )) {
        const thief = Object.assign(world.visitor(), stolen[uid]);
        const answer = method === "GET" ? await thief.get(pathOf(path)) : await thief.post(pathOf(path));
        const refusal = method === "GET" ? [303, "/sign-in"] : [403, null];
        expect([uid, path, answer.status, answer.location]).toEqual([uid, path, ...refusal]);
        const left = db("console_sessions").where({ user_id: await world.idOf(uid), stage: "signed-in" });
        expect(await left).toEqual([]);
        // Given back, so that the next page is asked with it too.
        await db("console_sessions").delete();
        await db("console_sessions").insert(kept);
      }
    }
    await world.reload({});
    expect((await visitorOf("alice").get("/users")).status).toBe(200);
  });

  test("with a session that was signed out of, however often it is sent again", async () => {
    const alice = await world.signIn("alice");
    const replayed = { cookie: alice.cookie, formToken: alice.formToken };
    expect((await alice.post("/sign-out")).location).toBe("/sign-in");
    const before = (await world.events(carol)).length;
    for (const { method, path, who } of world.console.routes) {
      if (who === "everybody") continue;
      const thief = Object.assign(world.visitor(), replayed);
      const answer = method === "GET" ? await thief.get(pathOf(path)) : await thief.post(pathOf(path));
      const refusal = method === "GET" ? [303, "/sign-in"] : [403, null];
      expect([path, answer.status, answer.location]).toEqual([path, ...refusal]);
    }
    expect((await world.events(carol)).length).toBe(before);
  });

  test("and let through with one that is", async () => {
    for (const { method, path, who } of world.console.routes) {
      if (method !== "GET" || typeof who === "string" || path.startsWith("/runs")) continue;
      for (const uid of uids.filter((it) => rolesIn(who).includes(roleOf[it] ?? ""))) {
        expect([uid, path, (await visitorOf(uid).get(pathOf(path))).status]).toEqual([uid, path, 200]);
      }
    }
  });
});

describe("a form is refused, and nothing changes,", () => {
  const posts = () => world.console.routes.filter(({ method }) => method === "POST");
  const events = async () => (await world.events(carol)).length;

  test("without its token, or with that of another session", async () => {
    const before = await events();
    await visitorOf("bob").get("/settings");
    for (const { path } of posts()) {
      const alice = visitorOf("alice");
      await alice.get("/settings");
      for (const form of ["", "x", visitorOf("bob").formToken]) {
        expect([path, (await alice.post(pathOf(path), { form })).status]).toEqual([path, 403]);
      }
    }
    expect(await events()).toBe(before);
  });

  test("from another origin, or from one that is not told", async () => {
    const before = await events();
    for (const { path } of posts()) {
      const alice = visitorOf("alice");
      await alice.get("/settings");
      for (const headers of [
        { origin: "https://evil.example" },
        { origin: "null" },
        { origin: world.url.replace("http:", "https:") },
        { origin: "" },
        { "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "same-site" },
      ]) {
        expect([path, headers, (await alice.post(pathOf(path), {}, headers)).status]).toEqual([
          path,
          headers,
          403,
        ]);
      }
    }
    expect(await events()).toBe(before);
  });

  test("behind a proxy from any origin but the public one", async () => {
    const alice = visitorOf("alice");
    const publicOrigin = "https://mfa.example.org";
    await world.reload({ publicOrigin });
    await alice.get("/settings");
    expect((await alice.post(`/users/${carol}/unlock`)).status).toBe(403);
    const answer = await alice.post(`/users/${carol}/unlock`, {}, { origin: publicOrigin });
    expect(answer.location).toBe(`/users/${carol}?done=unlocked`);
    await world.reload({});
  });

  test("as JSON, as text, or as multipart", async () => {
    const alice = visitorOf("alice");
    for (const type of ["application/json", "text/plain", "multipart/form-data; boundary=x"]) {
      const answer = await alice.post(`/users/${carol}/unlock`, {}, { "content-type": type });
      expect([type, answer.status]).toEqual([type, 415]);
    }
  });
});

test("no page may be framed, kept, or run a script", async () => {
  for (const path of ["/sign-in", "/settings", "/users", "/nothing-there"]) {
    const { headers } = await visitorOf("alice").get(path);
    expect(headers.get("content-security-policy")).toBe(
      "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    );
    expect(headers.get("x-frame-options")).toBe("DENY");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("a host that the browser was made to name leads nowhere, and is in no answer", async () => {
  for (const path of ["/", "/sign-in", "/users", "/nothing-there"]) {
    const [head, text] = await new Promise<[string, string]>((resolve, reject) => {
      const host = { host: "evil.example", "x-forwarded-host": "evil.example" };
      request(world.url + path, { headers: host }, (answer) => {
        let body = "";
        answer.on("data", (chunk: Buffer) => {
          body += chunk;
        });
        answer.on("end", () => resolve([JSON.stringify(answer.headers), body]));
      })
        .on("error", reject)
        .end();
    });
    expect([path, head]).not.toEqual([path, expect.stringContaining("evil")]);
    expect([path, text]).not.toEqual([path, expect.stringContaining("evil")]);
  }
});

test("what the directory says of a person is text, and never markup", async () => {
  const page = await visitorOf("alice").get(`/users/${carol}`);
  expect(page.text).toContain("carol &#60;b&#62;Example");
  expect(page.text).not.toContain("<b>");
});

test("an address that is none is not found, whatever stands in it", async () => {
  const alice = visitorOf("alice");
  for (const path of [
    "/nothing",
    "/users/1",
    "/users/%00",
    `/users/${carol}/`,
    "/directories/none",
    `/runs/${carol}`,
    "/users/..%2f",
  ])
    expect([path, (await alice.get(path)).status]).toEqual([path, 404]);
  for (const path of [
    "/users?cursor=x",
    "/users?search=%00",
    "/users?group=%00",
    "/notices?state=x",
    "/audit?before=x",
    "/audit?username=%00",
    `/users/${carol}?before=-1`,
  ])
    expect([path, (await alice.get(path)).status < 500]).toEqual([path, true]);
});
