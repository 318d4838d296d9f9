// The whole API, attacked from its own description: whatever is sent, the answer is one that the description knows, in
// time, and never a 5xx or a stack trace.

import { Ajv } from "ajv";
import fc from "fast-check";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Log } from "../../src/log.ts";
import { readDescription } from "../support/api-description.ts";
import { type ApiWorld, openApiWorld } from "../support/api-world.ts";
import { type Answer, call, sendBytes, tokens } from "../support/http-server.ts";

interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  anyOf?: Schema[];
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
}
interface Operation {
  parameters?: { name: string; in: "path" | "query"; schema: Schema }[];
  requestBody?: { content: Record<string, { schema: Schema }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
}
interface Call {
  method: string;
  path: string;
  operation: Operation;
}

let world: ApiWorld;
let calls: Call[];
/** Names and ids that mean something, so that requests get further than "unknown". */
let usernames: string[];
let ids: string[];

beforeAll(async () => {
  world = await openApiWorld();
  const users = [
    await world.addUser(),
    await world.addUser({ state: "disabled" }),
    await world.addUser({ state: "removed" }),
    await world.addUser({ username: "twice", directory: "main" }),
    await world.addUser({ username: "twice", directory: "other" }),
    await world.addEnrolledUser(),
  ];
  usernames = users.map(({ username }) => username);
  ids = users.map(({ id }) => id);
  const { paths } = await readDescription<{ paths: Record<string, Record<string, Operation>> }>(world.url);
  calls = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({ method, path, operation })),
  );
});
afterAll(() => world.close());

// What has broken other people's servers.
const nastyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom(
    "\u0000",
    "a\u0000b",
    "\ud800",
    "\u202euser",
    "ﬀ",
    "İ",
    "' or 1=1 --",
    "$1",
    ":usernameKey",
    "?",
    "%_",
    "*)(uid=*",
    "../../etc/passwd",
    "{{7*7}}",
    "__proto__",
    "constructor",
    "toString",
    "null",
    "NaN",
    "1e400",
    "9".repeat(400),
    "a".repeat(1024),
    "a".repeat(5000),
    "\n\r\t",
    "😀".repeat(100),
  ),
);

function anyValueOf(schema: Schema, name: string): fc.Arbitrary<unknown> {
  const fitting = fittingOf(schema, name);
  return fc.oneof(
    { weight: 8, arbitrary: fitting },
    { weight: 1, arbitrary: nastyText },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
  );
}

function fittingOf(schema: Schema, name: string): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum);
  if (name === "username") return fc.oneof(fc.constantFrom(...usernames), nastyText);
  if (name === "id" || name === "user") return fc.oneof(fc.constantFrom(...ids), fc.uuid());
  if (name === "directory") return fc.constantFrom("main", "other", "nowhere");
  if (name === "totp") return fc.oneof(fc.stringMatching(/^\d{6}$/), nastyText);
  if (name === "backupCode")
    return fc.oneof(fc.stringMatching(/^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}$/), nastyText);
  if (name === "since")
    return fc.oneof(
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
      nastyText,
    );
  if (name === "cursor") {
    const key = fc.array(fc.oneof(fc.constantFrom(...ids), nastyText, fc.constant("1")), { maxLength: 3 });
    return fc.oneof(
      key.map((parts) => Buffer.from(JSON.stringify(parts)).toString("base64url")),
      nastyText,
    );
  }
  switch (schema.type) {
    case "integer":
      return fc.integer({ min: (schema.minimum ?? 0) - 1, max: (schema.maximum ?? 100) + 1 });
    case "boolean":
      return fc.boolean();
    case "string":
      return nastyText;
    default:
      return fc.jsonValue({ maxDepth: 3 });
  }
}

/** Of a body that may be left out, what it is when it is there. */
function bodySchemaOf({ operation }: Call): Schema | undefined {
  const schema = operation.requestBody?.content["application/json"]?.schema;
  return schema?.anyOf?.[0] ?? schema;
}

function bodyOf(schema: Schema): fc.Arbitrary<unknown> {
  const fields = Object.entries(schema.properties ?? {});
  const optional = fields.map(([name]) => name).filter((name) => !schema.required?.includes(name));
  const record = fc.record(
    Object.fromEntries(fields.map(([name, field]) => [name, anyValueOf(field, name)])),
    {
      requiredKeys: schema.required ?? [],
    },
  );
  return fc.oneof(
    { weight: 12, arbitrary: record },
    // One optional field at most, since many exclude each other.
    {
      weight: 6,
      arbitrary: fc
        .tuple(record, fc.constantFrom("", ...optional))
        .map(([body, kept]) =>
          Object.fromEntries(
            Object.entries(body).filter(([name]) => name === kept || !optional.includes(name)),
          ),
        ),
    },
    { weight: 1, arbitrary: fc.jsonValue() },
    {
      weight: 1,
      arbitrary: fc
        .tuple(record, fc.dictionary(nastyText, fc.jsonValue({ maxDepth: 1 }), { maxKeys: 2 }))
        .map(([body, more]) => ({ ...more, ...body })),
    },
  );
}

interface Request {
  call: Call;
  url: string;
  body: unknown;
}

function requestArbitrary(): fc.Arbitrary<Request> {
  return fc.constantFrom(...calls).chain((one) => {
    const parameters = one.operation.parameters ?? [];
    const values = fc.tuple(
      ...parameters.map(({ name, schema, in: where }) =>
        where === "path"
          ? anyValueOf(schema, name)
          : fc.option(anyValueOf(schema, name), { nil: undefined, freq: 2 }),
      ),
    );
    const schema = bodySchemaOf(one);
    return fc.tuple(values, schema ? bodyOf(schema) : fc.constant(undefined)).map(([given, body]) => {
      const query = new URLSearchParams();
      let path = one.path;
      parameters.forEach(({ name, in: where }, index) => {
        const value = given[index];
        if (value === undefined) return;
        const text = typeof value === "string" ? value : JSON.stringify(value);
        if (where === "path") path = path.replace(`{${name}}`, encodeURIComponent(text.toWellFormed()));
        else query.append(name, text.toWellFormed());
      });
      return { call: one, url: `${path}?${query}`, body };
    });
  });
}

const ajv = new Ajv({ strict: false, formats: { "date-time": true } });

function expectDescribed(request: Request, answer: Answer): void {
  const shown = `${request.call.method} ${request.url} ${JSON.stringify(request.body)} → ${answer.status} ${answer.text.slice(0, 300)}`;
  expect(answer.status, shown).toBeLessThan(500);
  // The request id is random text, which may hold any of these.
  expect(answer.text.replace(/"requestId":"[^"]*"/, ""), shown).not.toMatch(
    /\.ts:\d+|node_modules|at \w+ \(|SyntaxError|TypeError|select |pg_/,
  );
  expect(answer.headers.get("x-request-id"), shown).toBeTruthy();
  // An id that is no path segment of ours leads to another address, which no call describes.
  const elsewhere = answer.status === 404 || answer.status === 405 || answer.status === 400;
  const response = request.call.operation.responses[String(answer.status)];
  if (elsewhere && !response) return;
  expect(response, `not described: ${shown}`).toBeDefined();
  const schema =
    answer.status >= 400
      ? response?.content?.["application/problem+json"]?.schema
      : response?.content?.["application/json"]?.schema;
  if (answer.status >= 400)
    expect(answer.headers.get("content-type"), shown).toMatch(/^application\/problem\+json/);
  if (!schema || (elsewhere && request.call.path.includes("{id}"))) return;
  expect(ajv.validate(schema, answer.json), `${ajv.errorsText()}: ${shown}`).toBe(true);
}

test("whatever is sent, the answer is one that the description knows", { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(requestArbitrary(), async (request) => {
      const startedMs = Date.now();
      const answer = await call(`${world.url}${request.url}`, {
        method: request.call.method.toUpperCase(),
        token: tokens.every,
        ...(request.body === undefined ? {} : { body: request.body }),
      });
      expectDescribed(request, answer);
      expect(Date.now() - startedMs).toBeLessThan(5_000);
    }),
    { numRuns: 300 },
  );
});

test("whatever the headers, the answer is no 5xx", { timeout: 60_000 }, async () => {
  const value = fc.stringMatching(/^[\x21-\xff]{0,80}$/);
  const headers = fc.record(
    {
      authorization: fc.oneof(value, fc.constant(`Bearer ${tokens.every}`)),
      "x-actor": value,
      "x-request-id": value,
      "content-type": fc.oneof(value, fc.constant("application/json")),
      accept: value,
      "accept-encoding": value,
      "accept-version": value,
      "x-http-method-override": value,
      "content-encoding": value,
      cookie: value,
      "x-forwarded-for": value,
    },
    { requiredKeys: [] },
  );
  const target = fc.constantFrom(
    ["POST", "/v1/sign-in"],
    ["POST", "/v1/verify"],
    ["PUT", `/v1/admin/users/${ids[0]}/mfa-required`],
    ["GET", "/v1/admin/users"],
    ["GET", "/readyz"],
    ["GET", "/metrics"],
  );
  await fc.assert(
    fc.asyncProperty(target, headers, async ([method = "GET", path = "/"], given) => {
      const body = method === "GET" ? "" : '{"username":"ada","totp":"123456"}';
      const lines = Object.entries({
        host: "x",
        connection: "close",
        "content-length": body.length,
        ...given,
      });
      const head = [`${method} ${path} HTTP/1.1`, ...lines.map(([name, text]) => `${name}: ${text}`)].join(
        "\r\n",
      );
      // Not fetch, which refuses to send some of these.
      const answer = await sendBytes(world.url, Buffer.from(`${head}\r\n\r\n${body}`, "latin1"), 5_000);
      expect(answer).toMatch(/^HTTP\/1\.1 [234]\d\d /);
    }),
    { numRuns: 300 },
  );
});

test("the log of it all has no error in it", () => {
  const errors = world.logged.filter((line) => line.includes('"level":50'));
  // The runs that were asked for fail, since the directory is dead.
  expect(errors.filter((line) => !line.includes("sync run failed"))).toEqual([]);
});

test("no finding carries a value, or an unknown field's name, into an answer or a log line at any level (rule 22)", async () => {
  const lines: string[] = [];
  // Writes all of an error that it is given, unlike the log of the service.
  const log: Log = pino({ level: "trace" }, { write: (line: string) => lines.push(line) });
  const { url } = await world.startServer({ ...world.deps, log });
  const mark = "K7QX2M9VT4HB";
  const wrongValues = [
    mark.repeat(200),
    `${mark}\u0000`,
    [mark],
    { [mark]: mark },
    { value: mark },
    `${mark}-${mark}`,
  ];
  let refused = 0;
  const send = async ({ method, path }: Call, query: URLSearchParams, body?: unknown) => {
    const answer = await call(`${url}${path.replace("{id}", ids[0] ?? "")}?${query}`, {
      method: method.toUpperCase(),
      token: tokens.every,
      ...(body === undefined ? {} : { body }),
    });
    if (answer.status === 400) refused++;
    expect(answer.text, `${method} ${path} ${JSON.stringify(body)}`).not.toContain(mark);
  };
  for (const one of calls) {
    const schema = bodySchemaOf(one);
    const names = Object.keys(schema?.properties ?? {});
    const none = new URLSearchParams();
    for (const value of schema ? wrongValues : []) {
      await send(one, none, value);
      await send(one, none, Object.fromEntries(names.map((name) => [name, mark])));
      for (const name of [...names, mark]) await send(one, none, { username: "ada", [name]: value });
    }
    for (const { name, in: where } of one.operation.parameters ?? []) {
      if (where === "query") await send(one, new URLSearchParams({ [name]: `${mark}\u0000` }));
    }
    await send(one, new URLSearchParams({ [mark]: mark }));
  }
  expect(refused).toBeGreaterThan(200);
  expect(lines.join("")).not.toContain(mark);
});
