// The API description: OpenAPI 3.1, made from the very schemas that check requests and write answers.

import swagger from "@fastify/swagger";
import type { App } from "./app-type.ts";
import { type ProblemCode, problemKinds } from "./problems.ts";

/** What any call with a token can be answered with. */
const problemsOfEveryCall: readonly ProblemCode[] = [
  "invalid-request",
  "unauthorized",
  "forbidden",
  "rate-limited",
  "headers-too-large",
  "request-timeout",
  "internal",
  "unavailable",
];

const problemsOfEveryBody: readonly ProblemCode[] = ["request-too-large", "unsupported-media-type"];

/** Must be called before the first route is added. */
export async function registerOpenApi(app: App): Promise<void> {
  await app.register(swagger, {
    convertConstToEnum: false,
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "dirmfa",
        version: "1",
        summary: "Multi-factor authentication for the users of a directory",
        description:
          "Every call but the open ones needs a bearer token. A status of 400 or more is a refusal, always: " +
          "a caller that looks at the status alone fails closed.",
        license: { name: "MIT", identifier: "MIT" },
      },
      servers: [{ url: "/", description: "Where this description was read" }],
      components: {
        securitySchemes: { token: { type: "http", scheme: "bearer" } },
      },
      tags: [
        { name: "login", description: "For the login service: scope `login`" },
        {
          name: "admin",
          description: "For admins (scope `admin`), the help desk (`help-desk`) and auditors (`audit`)",
        },
        { name: "open", description: "No token needed" },
        { name: "metrics", description: "Scope `metrics`" },
      ],
    },
    transform: ({ schema, url, route }) => {
      const { scope, problems = [] } = route.config ?? {};
      const isOpen = scope === "open";
      const codes = [
        ...(isOpen ? [] : problemsOfEveryCall),
        ...(schema?.body === undefined ? [] : problemsOfEveryBody),
        ...problems,
      ];
      return {
        url,
        schema: {
          ...schema,
          operationId: operationIdOf(String(route.method), url),
          ...(isOpen || scope === undefined ? {} : { security: [{ token: [scope].flat() }] }),
          // The types of fastify-swagger leave open what a response looks like.
          response: { ...(schema?.response as object | undefined), ...problemResponses(codes) },
        },
      };
    },
  });
  app.get("/openapi.json", { schema: { hide: true }, config: { scope: "open" } }, async () => app.swagger());
}

/** The method and the path in one word: what generators name their functions. */
function operationIdOf(method: string, url: string): string {
  const words = url
    .replace(/^\/v1\//, "/")
    .replaceAll(/:(\w+)/g, "by-$1")
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean);
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

function problemResponses(codes: readonly ProblemCode[]): Record<string, object> {
  const byStatus = Object.groupBy(codes, (code) => String(problemKinds[code].status));
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, ofStatus = []]) => [status, problemResponse(ofStatus)]),
  );
}

function problemResponse(codes: readonly ProblemCode[]): object {
  return {
    description: codes.map((code) => `\`${code}\`: ${problemKinds[code].title}.`).join(" "),
    content: { "application/problem+json": { schema: problemSchema(codes) } },
  };
}

function problemSchema(codes: readonly ProblemCode[]): object {
  return {
    type: "object",
    required: ["type", "title", "status", "code", "requestId"],
    properties: {
      type: { type: "string", description: "`urn:dirmfa:problem:` and the code" },
      title: { type: "string" },
      status: { type: "integer" },
      detail: { type: "string" },
      code: { type: "string", enum: codes },
      requestId: { type: "string" },
      ...Object.assign({}, ...codes.map((code) => membersOf[code] ?? {})),
    },
  };
}

/** What the documents of some codes say beside the members of all. */
const membersOf: Partial<Record<ProblemCode, Record<string, object>>> = {
  "invalid-request": { field: { type: "string", description: "Never with its value" } },
  "locked-out": { lockedUntil: { type: "string", format: "date-time" } },
  "mfa-required": { requiredBy: { type: "array", items: { type: "string" } } },
  "run-in-progress": { runId: { type: "string" } },
  "user-not-active": { state: { type: "string", enum: ["disabled", "removed", "directory-not-configured"] } },
  "username-ambiguous": { directories: { type: "array", items: { type: "string" } } },
};
