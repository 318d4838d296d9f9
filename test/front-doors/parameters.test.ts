// What the bodies of the privacyIDEA clients say, byte for byte as the clients send them (rule 29).

import { expect, test } from "vitest";
import { readParameters } from "../../src/front-doors/privacyidea/parameters.ts";

const form = "application/x-www-form-urlencoded";
const read = async (body: string, userAgent: string, type = form) =>
  (await readParameters(Buffer.from(body), type, userAgent))?.get("user");

test.each(["privacyIDEA-Keycloak/1.5.0 Keycloak/26.0.0", "privacyIDEA-Shibboleth/2.0 ShibbolethIdP/5"])(
  "%s writes a space as a plus before it encodes once more, and a plus as percent",
  async (userAgent) => {
    expect(await read("user=jan%25C3%25A9%2Bo%2527neil%252Bx&pass=", userAgent)).toBe("jané o'neil+x");
  },
);

test("of other clients a plus is a plus", async () => {
  expect(await read("user=jan%25C3%25A9%2520o%27neil%2Bx&pass=", "FreeRADIUS")).toBe("jané o'neil+x");
  expect(await read("user=jan%C3%A9+o%27neil%2Bx&pass=", "PAM/2.15.0")).toBe("jané o'neil+x");
});
