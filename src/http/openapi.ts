// The API description: OpenAPI 3.1, made from the very schemas that check requests and write answers.

import swagger from "@fastify/swagger";
import type { App } from "./app-type.ts";
import {
  type Description,
  mendOperations,
  referToNamedResponses,
  referToNamedSchemas,
} from "./openapi-components.ts";
import { type ProblemCode, problemKinds } from "./problems.ts";

/** What any call can be answered with. */
const problemsOfEveryCall: readonly ProblemCode[] = [
  "invalid-request",
  "headers-too-large",
  "request-timeout",
  "internal",
  "unavailable",
];

const problemsOfEveryToken: readonly ProblemCode[] = ["unauthorized", "forbidden", "rate-limited"];

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
    // The types of fastify-swagger leave open what kind of description it is.
    transformObject: (made) => ("openapiObject" in made ? withNames(made.openapiObject as Description) : {}),
    transform: ({ schema, url, route }) => {
      const { scope, alsoCsv, problems = [] } = route.config ?? {};
      const isOpen = scope === "open";
      const codes = [
        ...problemsOfEveryCall,
        ...(isOpen ? [] : problemsOfEveryToken),
        ...(schema?.body === undefined ? [] : problemsOfEveryBody),
        ...problems,
      ];
      return {
        url,
        schema: {
          ...schema,
          operationId: operationIdOf(String(route.method), url),
          description: [schema?.description, scopeText(scope)].filter(Boolean).join(" "),
          security: isOpen ? [] : [{ token: [] }],
          // The types of fastify-swagger leave open what a response looks like.
          response: {
            ...answersOf(schema?.response as Record<string, object> | undefined, alsoCsv),
            ...problemResponses(codes),
          },
        },
      };
    },
  });
  app.get("/openapi.json", { schema: { hide: true }, config: { scope: "open" } }, async () => app.swagger());
}

function answersOf(answers: Record<string, object> = {}, alsoCsv = false): Record<string, object> {
  const { 200: json } = answers;
  if (!alsoCsv || json === undefined) return answers;
  const content = { "application/json": { schema: json }, "text/csv": { schema: { type: "string" } } };
  return { ...answers, 200: { description: "As JSON, or as CSV where `Accept` asks for it", content } };
}

function withNames(description: Description): Description {
  return referToNamedResponses(referToNamedSchemas(mendOperations(description)), nameOfProblem);
}

/** Answers with one code alone are the same for all calls, and have its name: `RateLimited`. */
function nameOfProblem(response: object): string | undefined {
  const { content } = response as { content?: Partial<ReturnType<typeof problemContent>> }; // ours or another
  const [code, another] = content?.["application/problem+json"]?.schema.allOf[1].properties.code.enum ?? [];
  return code === undefined || another !== undefined ? undefined : inOneWord(code.split("-"));
}

/** The method and the path in one word: what generators name their functions. */
function operationIdOf(method: string, url: string): string {
  const words = url
    .replace(/^\/v1\//, "/")
    .replaceAll(/:(\w+)/g, "by-$1")
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean);
  return method.toLowerCase() + inOneWord(words);
}

function inOneWord(words: readonly string[]): string {
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

/** One of several is enough; OpenAPI's own list of scopes means all of them. */
function scopeText(scope: string | readonly string[] | undefined): string {
  if (scope === undefined || scope === "open") return "Needs no token.";
  const words = [scope].flat().map((word) => `\`${word}\``);
  return `Scope ${[words.slice(0, -1).join(", "), words.at(-1)].filter(Boolean).join(" or ")}.`;
}

function problemResponses(codes: readonly ProblemCode[]): Record<string, object> {
  const byStatus = Object.groupBy(new Set(codes), (code) => String(problemKinds[code].status));
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, ofStatus = []]) => [status, problemResponse(ofStatus)]),
  );
}

function problemResponse(codes: readonly ProblemCode[]): object {
  return {
    description: codes.map((code) => `\`${code}\`: ${problemKinds[code].title}.`).join(" "),
    content: problemContent(codes),
  };
}

function problemContent(codes: readonly ProblemCode[]) {
  const ofTheCall = { properties: { code: { enum: codes } } };
  return { "application/problem+json": { schema: { allOf: [problem, ofTheCall] as const } } };
}

const problem = {
  title: "Problem",
  description: "RFC 9457. A newer dirmfa may add codes and members.",
  type: "object",
  required: ["type", "title", "status", "code", "requestId"],
  properties: {
    type: { type: "string", description: "`urn:dirmfa:problem:` and the code" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string", description: "One sentence for the developer of the caller" },
    code: { title: "ProblemCode", type: "string", enum: Object.keys(problemKinds) },
    requestId: { type: "string" },
    // What the documents of some codes say beside the members of all.
    field: { type: "string", description: "Of `invalid-request`: which one; never its value" },
    lockedUntil: { type: "string", format: "date-time", description: "Of `locked-out`" },
    requiredBy: { type: "array", items: { type: "string" }, description: "Of `mfa-required`" },
    runId: { type: "string", description: "Of `run-in-progress`" },
    state: {
      type: "string",
      enum: ["disabled", "removed", "directory-not-configured"],
      description: "Of `user-not-active`",
    },
    directories: { type: "array", items: { type: "string" }, description: "Of `username-ambiguous`" },
  },
};
