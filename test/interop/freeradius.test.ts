// A real FreeRADIUS with the example's configuration in front of dirmfa, asked by radclient: the three ways in which gateways
// send a password and a code. Access-Accept comes for an accepted code, or for a user of whom nothing is asked; never otherwise.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Freeradius, type RadiusAnswer, startFreeradius } from "../../scripts/servers/freeradius.ts";
import { ldifEntry } from "../../scripts/servers/ldif.ts";
import { type Slapd, startSlapd } from "../../scripts/servers/slapd.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { tokens } from "../support/http-server.ts";

const password = 'pass "word" 1234'; // quotes, spaces, and four digits at the end, which are no code
let world: ApiWorld;
let slapd: Slapd;
beforeAll(async () => {
  world = await openApiWorld();
  slapd = await startSlapd();
});
afterAll(async () => {
  await slapd?.stop();
  await world?.close();
});

let people = 0;
async function employ(username = `person${people++}`): Promise<string> {
  await slapd.add(
    ldifEntry(`uid=${username},ou=people,${slapd.suffix}`, [
      ["objectClass", "inetOrgPerson"],
      ["uid", username],
      ["cn", username],
      ["sn", username],
      ["userPassword", password],
    ]),
  );
  return username;
}

const enrolled = async () => world.addEnrolledUser(await employ());
const notEnrolled = async () => world.addUser({ username: await employ() });

function open(site: Parameters<typeof startFreeradius>[0]["site"]) {
  let radius: Freeradius;
  beforeAll(async () => {
    radius = await startFreeradius({ site, apiUrl: world.url, token: tokens.login, slapd });
  });
  afterAll(() => radius?.stop());
  return (name: string, typed: string, state?: string): Promise<RadiusAnswer> =>
    radius.ask({
      "User-Name": name,
      "User-Password": typed,
      ...(state === undefined ? {} : { State: state }),
    });
}

const failuresOf = async (id: string) =>
  (await world.database.db("lockouts").where({ user_id: id }).sum("failures as sum"))[0]?.sum;

describe("code alone", () => {
  const ask = open("dirmfa-code");

  test("a right code is accepted once, a backup code too, and a wrong one is not", async () => {
    const user = await enrolled();
    expect((await ask(user.username, world.wrongCodeOf(user))).packet).toBe("Access-Reject");
    expect((await ask(user.username, world.codeOf(user))).packet).toBe("Access-Accept");
    expect((await ask(user.username, world.codeOf(user))).packet).toBe("Access-Reject");
    expect((await ask(user.username, user.backupCodes[0] ?? "")).packet).toBe("Access-Accept");
  });

  test("a password in the place of a code is rejected and is no failed code", async () => {
    const user = await enrolled();
    expect((await ask(user.username, password)).packet).toBe("Access-Reject");
    expect(await failuresOf(user.id)).toBe("0");
  });

  test("two packets at once with one code: one is accepted", async () => {
    const user = await enrolled();
    const code = world.codeOf(user);
    const answers = await Promise.all([1, 2, 3, 4].map(() => ask(user.username, code)));
    expect(answers.filter(({ packet }) => packet === "Access-Accept")).toHaveLength(1);
  });

  test("a locked, an unknown, a disabled user and a name that is an attack are rejected; one of whom nothing is asked is not", async () => {
    const user = await enrolled();
    for (let failure = 0; failure < 5; failure += 1) await ask(user.username, world.wrongCodeOf(user));
    expect((await ask(user.username, world.codeOf(user))).packet).toBe("Access-Reject");
    expect((await ask("nobody", "123456")).packet).toBe("Access-Reject");
    const disabled = await world.addUser({ state: "disabled" });
    expect((await ask(disabled.username, "123456")).packet).toBe("Access-Reject");
    const victim = await notEnrolled();
    expect((await ask(`x","username":"${victim.username}`, "123456")).packet).toBe("Access-Reject");
    expect((await ask(victim.username, "anything")).packet).toBe("Access-Accept");
  });
});

describe("password, then challenge", () => {
  const ask = open("dirmfa-challenge");

  test("the right password brings a challenge, and the code lets in once", async () => {
    const user = await enrolled();
    const asked = await ask(user.username, password);
    expect(asked).toMatchObject({ packet: "Access-Challenge", message: expect.stringContaining("code") });
    expect((await ask(user.username, world.codeOf(user), asked.state)).packet).toBe("Access-Accept");
    const again = await ask(user.username, password);
    expect((await ask(user.username, world.codeOf(user), again.state)).packet).toBe("Access-Reject");
  });

  test("a wrong password brings no challenge, and no code helps without one", async () => {
    const user = await enrolled();
    expect((await ask(user.username, "wrong")).packet).toBe("Access-Reject");
    expect((await ask(user.username, world.codeOf(user))).packet).toBe("Access-Reject");
    expect((await ask(user.username, world.codeOf(user), "0x00112233445566778899aabbccddeeff")).packet).toBe(
      "Access-Reject",
    );
  });

  test("one user's challenge is not answered for another", async () => {
    const [user, other] = [await enrolled(), await enrolled()];
    const asked = await ask(user.username, password);
    expect((await ask(other.username, world.codeOf(other), asked.state)).packet).toBe("Access-Reject");
  });

  test("a user of whom nothing is asked needs the password, and an entry in the directory", async () => {
    const user = await notEnrolled();
    expect((await ask(user.username, password)).packet).toBe("Access-Accept");
    for (const wrong of ["wrong", ""]) expect((await ask(user.username, wrong)).packet).toBe("Access-Reject");
    const elsewhere = await world.addUser();
    for (const typed of [password, ""])
      expect((await ask(elsewhere.username, typed)).packet).toBe("Access-Reject");
    expect((await ask("*", password)).packet).toBe("Access-Reject");
  });
});

describe("password, then challenge, where MFA is required", () => {
  const ask = open("dirmfa-challenge");
  beforeAll(() => world.replica({ mode: "required" })); // puts the policy in force
  afterAll(() => world.replica());

  test("who must enroll is told so, and may sign in within the grace period", async () => {
    const user = await notEnrolled();
    expect(await ask(user.username, password)).toMatchObject({
      packet: "Access-Reject",
      message: expect.stringContaining("Set it up"),
    });
    await world.database
      .db("users")
      .where({ id: user.id })
      .update({ required_since: new Date(), enrollment_deadline: new Date("2100-01-01T00:00:00Z") });
    expect((await ask(user.username, password)).packet).toBe("Access-Accept");
    expect((await ask(user.username, "wrong")).packet).toBe("Access-Reject");
  });
});

describe("password and code in one field", () => {
  const ask = open("dirmfa-appended");

  test("both must be right, and a wrong password spends no code", async () => {
    const user = await enrolled();
    const code = world.codeOf(user);
    expect((await ask(user.username, `wrong${code}`)).packet).toBe("Access-Reject");
    expect((await ask(user.username, password)).packet).toBe("Access-Reject");
    expect((await ask(user.username, code)).packet).toBe("Access-Reject");
    expect(await failuresOf(user.id)).toBe("0");
    expect((await ask(user.username, `${password}${world.wrongCodeOf(user)}`)).packet).toBe("Access-Reject");
    expect((await ask(user.username, `${password}${code}`)).packet).toBe("Access-Accept");
    expect((await ask(user.username, `${password}${code}`)).packet).toBe("Access-Reject");
  });

  test("a user of whom nothing is asked types the password alone", async () => {
    const user = await notEnrolled();
    expect((await ask(user.username, password)).packet).toBe("Access-Accept");
    expect((await ask(user.username, "wrong")).packet).toBe("Access-Reject");
  });
});

describe.each(["dirmfa-code", "dirmfa-challenge", "dirmfa-appended"] as const)("%s", (site) => {
  test("with dirmfa away nobody gets in, nor with the directory away where the password is checked", async () => {
    const user = await enrolled();
    const allowed = await notEnrolled();
    const away = { ...slapd, url: "ldap://127.0.0.1:1" };
    for (const [apiUrl, directory] of [
      ["http://127.0.0.1:1", slapd],
      ...(site === "dirmfa-code" ? [] : [[world.url, away] as const]),
    ] as const) {
      const radius = await startFreeradius({ site, apiUrl, token: tokens.login, slapd: directory });
      for (const [name, typed] of [
        [user.username, world.codeOf(user)],
        [user.username, password],
        [user.username, `${password}${world.codeOf(user)}`],
        [allowed.username, password],
        [allowed.username, ""],
      ] as const) {
        const answer = await radius.ask({ "User-Name": name, "User-Password": typed });
        expect([name, answer.packet]).toEqual([name, "Access-Reject"]);
      }
      await radius.stop();
    }
  });

  test("whatever answers in the place of a verification, only 200 lets in", async () => {
    const user = await notEnrolled();
    let status = 200;
    // In the place of dirmfa: it asks for a code, and dies or answers anything when the code comes.
    const broken = createServer((request, response) => {
      response.setHeader("content-type", "application/json");
      if (request.url === "/v1/sign-in") response.end('{"decision":"challenge","enrollment":null}');
      else if (status === 0) request.socket.destroy();
      else response.writeHead(status).end("{}");
    });
    await new Promise<void>((resolve) => broken.listen(0, "127.0.0.1", resolve));
    const { port } = broken.address() as AddressInfo;
    const apiUrl = `http://127.0.0.1:${port}`;
    const radius = await startFreeradius({ site, apiUrl, token: tokens.login, slapd });
    const signIn = async () => {
      const typed = {
        "dirmfa-code": "123456",
        "dirmfa-challenge": password,
        "dirmfa-appended": `${password}123456`,
      };
      const request = { "User-Name": user.username, "User-Password": typed[site] };
      const first = await radius.ask(request);
      if (site !== "dirmfa-challenge" || first.state === undefined) return first.packet;
      return (await radius.ask({ ...request, "User-Password": "123456", State: first.state })).packet;
    };
    expect(await signIn()).toBe("Access-Accept");
    for (status of [0, 204, 301, 400, 401, 403, 404, 409, 410, 429, 500, 503]) {
      expect([status, await signIn()]).toEqual([status, "Access-Reject"]);
    }
    await radius.stop();
    broken.close();
  });
});
