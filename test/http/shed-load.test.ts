// A replica that is asked for more at once than it can answer soon refuses the rest at once, and still says that it lives.

import { afterAll, beforeAll, expect, test } from "vitest";
import { call, startListeners, type TestListeners } from "../support/http-server.ts";

let listeners: TestListeners;
let letGo = () => {};
beforeAll(async () => {
  const held = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  listeners = await startListeners({
    limits: { requestsAtOnce: 2 },
    addRoutes(app) {
      app.get("/held", { config: { scope: "open" } }, () => held.then(() => ({})));
      app.post("/body", { config: { scope: "open" } }, async () => ({}));
      app.get("/healthz", { config: { scope: "open" } }, async () => ({}));
    },
  });
});
afterAll(() => listeners.server.close());

test("what is beyond the requests at once is refused at once with 503 and when to come back; health is answered; then all is as before", async () => {
  const waiting = [1, 2].map(() => call(`${listeners.url}/held`));
  // Until both are under way, whoever comes may still be the second.
  let refused = await call(`${listeners.url}/body`, { body: {} });
  for (let tries = 0; refused.status !== 503 && tries < 100; tries++)
    refused = await call(`${listeners.url}/body`, { body: {} });
  expect(refused.status).toBe(503);
  expect(refused.json).toMatchObject({ code: "unavailable", requestId: refused.headers.get("x-request-id") });
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(refused.headers.get("content-type")).toBe("application/problem+json");
  expect((await call(`${listeners.url}/healthz`)).status).toBe(200);
  letGo();
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200]);
  expect((await call(`${listeners.url}/body`, { body: {} })).status).toBe(200);
});
